import numpy as np

from penchant.history.records import Request
from penchant.marking.random import random_marker
from tests.marking.cases import history_of, whole_records

HISTORY = history_of(f"text {i}" for i in range(200))
SEGMENTS = whole_records(HISTORY)


def scores(query: str = "a", task: str | None = None, seed: int = 0) -> list[float]:
    return list(random_marker(seed)(HISTORY, Request(query, task), SEGMENTS).scores.tolist())


def test_the_same_call_gives_the_same_scores_and_any_change_gives_others() -> None:
    assert scores() == scores()
    for other in (scores("b"), scores(task="t"), scores(seed=1)):
        assert abs(float(np.corrcoef(scores(), other)[0, 1])) < 0.3


def test_scores_are_spread_evenly() -> None:
    drawn = np.asarray(scores())
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert abs(drawn.mean() - 0.5) < 0.1


def test_another_history_gives_other_scores() -> None:
    other = history_of(f"other {i}" for i in range(200))
    marks = random_marker()(other, Request("a"), whole_records(other))
    assert marks.scores.tolist() != scores()
