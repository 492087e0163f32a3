import numpy as np

from penchant.history.records import History, Request
from penchant.marking.recency import recency
from tests.marking.cases import halves, history_of

REQUEST = Request("anything")


def test_newest_first_and_the_order_inside_a_record_is_kept() -> None:
    history = history_of(["one two", "three four", "five six"])
    marks = recency()(history, REQUEST, halves(history))
    assert marks.ranked().tolist() == [4, 5, 2, 3, 0, 1]
    assert marks.scores[-1] == 1.0
    assert (marks.layers_run, marks.history_tokens, marks.tokens_fed) == (0, 0, 0)


def test_an_empty_history_gives_empty_marks() -> None:
    assert recency()(History([]), REQUEST, []).scores.shape == (0,)


def test_a_record_outweighs_its_elders_in_a_long_history() -> None:
    history = history_of(["x"] * 20_000, days=0)
    marks = recency()(history, REQUEST, [s for s in halves(history) if s.text])
    assert bool(np.all(np.diff(marks.scores) > 0))
