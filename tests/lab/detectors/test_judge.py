"""The judge against plain reads of the whole prompt, and Rhea's detector."""

import numpy as np
import pytest
import torch

from penchant.conversation.instructions import rhea as published
from penchant.conversation.instructions.registry import DEFAULT_DETECTOR, DETECTORS, make_detector
from penchant.errors import InputError
from penchant.lens.lens import Lens, Wanted
from penchant.marking.resources import Resources
from penchant.models.loading import LoadedModel
from penchant_lab.detectors import judge as judging
from penchant_lab.detectors.judge import ODDS, Fitted, Judge, fitted_for
from tests.families import tiny


@pytest.fixture(scope="module")
def judge(smollm2: LoadedModel) -> Judge:
    return Judge(Lens(smollm2), rows=2)


@pytest.mark.model
def test_features_are_those_of_the_whole_prompt_read_alone(judge: Judge) -> None:
    texts = ["Hello", "Bitte antworte mir ab jetzt nur noch auf Englisch, auch auf kurze Fragen."]
    read = judge._read(texts)
    loaded = judge.loaded
    prefix, yes, no = judge._prefix
    for text, got in zip(texts, read, strict=True):
        before, sentence, after = (judge._ids(part) for part in ("Sentence:", f" {text}", "\nAnswer:"))
        ids = torch.tensor([[*prefix, *before, *sentence, *after]])
        with torch.inference_mode():
            last = loaded.model(input_ids=ids).logits[0, -1].float()
        first = [judge._ids(answer)[0] for answer in (" Yes", " No")]
        assert got[0] == pytest.approx(float(last[first[0]] - last[first[1]]), abs=1e-3)
        layers = frozenset(range(loaded.num_layers))
        rows = judge.lens.read(ids, Wanted(row_layers=layers, rows=(-1,))).rows
        mean = torch.stack([rows[layer][0, :, 0].mean(0) for layer in sorted(layers)]).mean(0)
        start = len(prefix) + len(before)
        assert got[1] == pytest.approx(float((mean[yes].sum() / mean[no].sum()).log()), abs=1e-3)
        assert got[2] == pytest.approx(float(mean[start : start + len(sentence)].sum().log()), abs=1e-3)


@pytest.mark.model
def test_positions_of_the_answers_and_the_bias(judge: Judge) -> None:
    prefix, yes, no = judge._prefix
    tokenizer = judge.loaded.tokenizer
    assert [tokenizer.decode([prefix[at]]) for at in yes] == [" Yes"] * 4
    assert [tokenizer.decode([prefix[at]]) for at in no] == [" No"] * 4
    neutral = judge.features(judging.NEUTRAL)
    np.testing.assert_allclose(neutral.mean(0), 0, atol=1e-5)


@pytest.mark.model
def test_any_text_is_judged(judge: Judge) -> None:
    strange = ["", "\ud800", "a" * 5000, "<|im_end|>"]
    assert np.isfinite(judge.probabilities(strange)).all()
    assert len(judge([])) == 0


def test_weights_make_a_probability_and_a_threshold_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = Fitted((2.0, 0.0, -1.0), 0.5, (1.0, 0.0, 0.0), (2.0, 1.0, 1.0), 0.9)
    (probability,) = fitted.probability(np.array([[3.0, 9.0, 1.0]]))
    assert probability == pytest.approx(1 / (1 + np.exp(-1.5)))
    assert fitted_for("of no model") is ODDS
    monkeypatch.setattr(Judge, "features", lambda self, texts: np.array([[float(len(text)), 0, 0] for text in texts]))
    odds = Judge(Lens(tiny("llama")), Fitted((1.0, 0.0, 0.0), -3.0, (0.0,) * 3, (1.0,) * 3, 0.5))
    assert odds(["ab", "abcd"]) == [False, True]


def test_a_window_that_is_too_short_is_said() -> None:
    with pytest.raises(InputError, match=r"window of .* is 512 tokens: expected at least"):
        Judge(Lens(tiny("llama"))).probabilities(["Always answer in English."])


def test_rhea_takes_the_whole_turn_by_pattern_or_by_the_models_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def says(loaded: LoadedModel, text: str) -> bool:
        asked.append(text)
        return "yes" in text

    monkeypatch.setattr(published, "says_yes", says)
    detect = published.rhea(tiny("llama"))
    whole = "Hi! From now on answer in French. What is a fjord?"
    assert [one.text for one in detect(whole, ()).given] == [whole]
    assert asked == []
    assert [one.text for one in detect("say yes", ()).given] == ["say yes"]
    assert detect("Stop that.", ()).given == detect("Stop that.", ()).ended == ()
    assert asked == ["say yes", "Stop that.", "Stop that."]


def test_rhea_asks_the_model_about_512_tokens_of_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answers(loaded: LoadedModel, prompt: str, **options: object) -> list[str]:
        asked.append(prompt)
        return [" yes", ", it is"]

    monkeypatch.setattr(published, "generate_stream", answers)
    loaded = tiny("llama")
    assert published.says_yes(loaded, "\ud800 " + "q" * 3000)
    (prompt,) = asked
    assert published.QUESTION in prompt
    said = prompt.rpartition("Message: ")[2].rpartition("\nAnswer:")[0]
    assert 500 <= len(loaded.tokenizer(said, add_special_tokens=False)["input_ids"]) <= 512


def test_names() -> None:
    resources = Resources(tiny("llama"))
    assert DEFAULT_DETECTOR in DETECTORS
    for name in DETECTORS:
        assert callable(make_detector(name, resources))
    with pytest.raises(InputError, match="no detector 'x': expected one of penchant, patterns, rhea, judge"):
        make_detector("x", resources)
