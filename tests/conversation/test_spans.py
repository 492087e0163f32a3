"""Verbatim spans: the best sentences in time order, within the cap."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.conversation.context import Spans
from penchant.conversation.episodes import sentences
from penchant.conversation.prompt_rendering import join_spans
from penchant.conversation.spans import best_spans, truncate
from penchant.conversation.token_counts import TokenCounter
from penchant.history.dialogue import Turn
from penchant.text.unicode import sanitize
from tests.conversation.dialogues import model

TEXT = "One is here. Two is there. Three is gone. Four is new."
COUNTER = TokenCounter(model())


def spans(scores: list[float], text: str = TEXT, **options: float) -> Spans:
    found = sentences(Turn(0, "assistant", text))
    return best_spans(COUNTER, found, np.asarray(scores, dtype=np.float32), **options)  # type: ignore[arg-type]


def said(scores: list[float], text: str = TEXT, **options: float) -> str:
    return join_spans(text, spans(scores, text, **options))


def test_best_sentences_in_time_order() -> None:
    assert said([1, 0.1, 0.1, 0.9], cap=40, share=0.5) == "One is here. Four is new."
    assert said([0.1, 1, 0.9, 0.1], cap=40, share=0.5) == "Two is there. Three is gone."
    assert spans([0.1, 1, 0.9, 0.1], cap=40, share=0.5) == ((13, 41),)


def test_edges_stay_where_they_are_short_and_leave_room_for_the_best() -> None:
    text = "Dear diary, hello. Two is there. Three is gone. Four is new. So it goes."
    scores = [0.1, 0.1, 1, 0.1, 0.1]
    assert said(scores, text) == "Three is gone."
    assert said(scores, text, edges=True) == "Dear diary, hello. Three is gone. So it goes."
    best, last = COUNTER.text("Three is gone."), COUNTER.text("So it goes.")
    assert said(scores, text, edges=True, cap=best) == "Three is gone."
    assert said(scores, text, edges=True, cap=best + last) == "Three is gone. So it goes."
    long = f"{'Once and again ' * 9}I sat. Two is there. Three is gone."
    assert said([0.1, 1, 0.1], long, edges=True, cap=COUNTER.text(long) + 9) == "Two is there. Three is gone."


def test_share_of_the_best_and_only_the_best_where_no_mark_is_positive() -> None:
    assert said([1, 0.49, 0.51, 0.2], cap=99, share=0.5) == "One is here. Three is gone."
    assert said([-3, -1, -2, -4], cap=99, share=0.5) == "Two is there."


def test_cap_holds_and_ties_keep_time_order() -> None:
    size = COUNTER.text("One is here.")
    assert said([1, 1, 1, 1], cap=size) == "One is here."


def test_a_sentence_over_the_cap_is_cut_between_words() -> None:
    text = "walking along the sea " * 20
    cut = said([1], text, cap=12)
    assert cut and text.startswith(cut) and COUNTER.text(cut) <= 12
    assert text[len(cut)].isspace()
    assert said([1], "x" * 300, cap=5) == "x" * len(said([1], "x" * 300, cap=5)) != ""


def test_no_sentences_no_spans() -> None:
    assert best_spans(COUNTER, (), np.zeros(0, np.float32)) == ()


@settings(max_examples=40)
@given(st.text(min_size=1, max_size=200), st.integers(1, 40))
def test_beginning_is_within_its_cap(text: str, cap: int) -> None:
    begun = truncate(COUNTER, text, cap)
    assert sanitize(text).startswith(begun)
    assert COUNTER.text(begun) <= cap or len(begun) == 1
