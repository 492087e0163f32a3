"""N-grams: instructions in languages without a cue file."""

import math
from pathlib import Path

import pytest

from penchant.conversation.instructions import ngrams
from penchant.conversation.instructions.ngrams import Classifier, classifier, features, is_foreign
from penchant.conversation.instructions.patterns import patterns
from penchant.errors import ModelError


def test_features_by_hand() -> None:
    found = features("Ja, ja!")
    words = {gram: value for gram, value in found.items() if gram.startswith("|")}
    assert set(words) == {"|ja", "|!", "|ja ja", "|ja !", "|ja ja !"}
    norm = math.sqrt(math.log1p(2) ** 2 + 4 * math.log1p(1) ** 2)
    assert words["|ja"] == pytest.approx(math.log1p(2) / norm)
    assert sum(value**2 for value in found.values()) == pytest.approx(2)
    assert {" j", "ja", "a ", " ja ", " !"} <= set(found) and features("") == {}


def test_probability_by_hand() -> None:
    one = Classifier({"|ok": 3.0}, -1.0, 0.8)
    assert one.probability("ok") == pytest.approx(1 / (1 + math.exp(-2)))
    assert one.accepts("ok") and not one.accepts("no")


def test_a_language_without_a_cue_file() -> None:
    text = "Noem me voortaan Joost. Wat is de hoofdstad van Australië?"
    assert is_foreign(text) and not is_foreign("Never use emojis in your answers.") and not is_foreign("12")
    (given,) = patterns()(text, ()).given
    assert given.text == "Noem me voortaan Joost."


def test_cues_alone_decide_where_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Classifier, "accepts", lambda self, sentence: True)
    assert not patterns()("What is the capital of Australia?", ()).given


def test_a_broken_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrams, "FITTED", tmp_path / "ngrams.json")
    classifier.cache_clear()
    try:
        with pytest.raises(ModelError, match=r"ngrams\.json isn't a fitted classifier"):
            classifier()
    finally:
        classifier.cache_clear()
