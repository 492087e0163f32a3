"""Similarities of exchanges, and the verbatim spans that stand for a turn (`retrieval.py`)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.conversation.context import Spans
from penchant.conversation.episodes import sentences
from penchant.conversation.prompt_rendering import TokenCounter, join_spans
from penchant.conversation.retrieval import (
    PlattScaling,
    best_spans,
    exchange_scores,
    scaling_for,
    shortened_question,
    truncate,
)
from penchant.history.dialogue import Turn
from penchant.text.unicode import sanitize
from tests.conversation.dialogues import model
from tests.index.cases import calibration_of, lens_of

TEXT = "One is here. Two is there. Three is gone. Four is new."
COUNTER = TokenCounter(model())


def spans(scores: list[float], text: str = TEXT, **options: float) -> Spans:
    found = sentences(Turn(0, "assistant", text))
    return best_spans(COUNTER, found, np.asarray(scores, dtype=np.float32), **options)  # type: ignore[arg-type]


def said(scores: list[float], text: str = TEXT, **options: float) -> str:
    return join_spans(text, spans(scores, text, **options))


def test_best_sentences_in_time_order() -> None:
    assert said([1, 0.1, 0.1, 0.9], max_tokens=40, alpha=0.5) == "One is here. Four is new."
    assert said([0.1, 1, 0.9, 0.1], max_tokens=40, alpha=0.5) == "Two is there. Three is gone."
    assert spans([0.1, 1, 0.9, 0.1], max_tokens=40, alpha=0.5) == ((13, 41),)


def test_edges_stay_where_they_are_short_and_leave_room_for_the_best() -> None:
    text = "Dear diary, hello. Two is there. Three is gone. Four is new. So it goes."
    scores = [0.1, 0.1, 1, 0.1, 0.1]
    assert said(scores, text) == "Three is gone."
    assert said(scores, text, edges=True) == "Dear diary, hello. Three is gone. So it goes."
    best, last = COUNTER.text("Three is gone."), COUNTER.text("So it goes.")
    assert said(scores, text, edges=True, max_tokens=best) == "Three is gone."
    assert said(scores, text, edges=True, max_tokens=best + last) == "Three is gone. So it goes."
    long = f"{'Once and again ' * 9}I sat. Two is there. Three is gone."
    assert said([0.1, 1, 0.1], long, edges=True, max_tokens=COUNTER.text(long) + 9) == "Two is there. Three is gone."


def test_share_of_the_best_and_only_the_best_where_no_mark_is_positive() -> None:
    assert said([1, 0.49, 0.51, 0.2], max_tokens=99, alpha=0.5) == "One is here. Three is gone."
    assert said([-3, -1, -2, -4], max_tokens=99, alpha=0.5) == "Two is there."


def test_cap_holds_and_ties_keep_time_order() -> None:
    size = COUNTER.text("One is here.")
    assert said([1, 1, 1, 1], max_tokens=size) == "One is here."


def test_a_sentence_over_the_cap_is_cut_between_words() -> None:
    text = "walking along the sea " * 20
    cut = said([1], text, max_tokens=12)
    assert cut and text.startswith(cut) and COUNTER.text(cut) <= 12
    assert text[len(cut)].isspace()
    assert said([1], "x" * 300, max_tokens=5) == "x" * len(said([1], "x" * 300, max_tokens=5)) != ""


def test_no_sentences_no_spans() -> None:
    assert best_spans(COUNTER, (), np.zeros(0, np.float32)) == ()


@settings(max_examples=40)
@given(st.text(min_size=1, max_size=200), st.integers(1, 40))
def test_beginning_is_within_its_cap(text: str, max_tokens: int) -> None:
    begun = truncate(COUNTER, text, max_tokens)
    assert sanitize(text).startswith(begun)
    assert COUNTER.text(begun) <= max_tokens or len(begun) == 1


def test_logistic_of_the_score() -> None:
    found = PlattScaling(2.0, -3.0)(np.asarray([1.5, 0.0, 2.0, 1e6, -1e6], dtype=np.float32))
    assert found[:3] == pytest.approx([0.5, 0.04742587, 0.7310586])
    assert found[3] == pytest.approx(1.0) and found[4] == pytest.approx(0.0) and np.isfinite(found).all()


def test_best_sentence_of_each_exchange() -> None:
    scores = np.asarray([1, 5, -2, -3, 0.5], dtype=np.float32)
    assert exchange_scores(scores, np.asarray([0, 2, 4])).tolist() == [5, -2, 0.5]
    assert exchange_scores(scores[:0], np.zeros(0, np.int64)).tolist() == []


def test_a_model_without_a_fit_has_a_similarity_all_the_same() -> None:
    scaling = scaling_for(calibration_of(lens_of()))
    assert scaling.slope > 0 > scaling.offset


def test_of_a_long_question_the_ends_are_marked_with() -> None:
    loaded = model()
    assert shortened_question(loaded, "What now?") == "What now?"
    question = "Where is it? " + "walking by the sea " * 200 + "Who wrote the letters?"
    short = shortened_question(loaded, question)
    assert len(loaded.tokenizer(short)["input_ids"]) <= loaded.window // 2 + 2
    assert short.startswith("Where is it?") and short.endswith("Who wrote the letters?")
