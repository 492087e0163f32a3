from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from penchant.errors import InputError
from penchant.evaluation.protocol import make_trial, measure, spread
from penchant.history.records import History, Record, Request, Segment
from penchant.lens.labelled import LabelledHistory, Question
from penchant.marking.marks import Marks

WORDS = ("one two three. Four.", "five", "six seven", "eight nine ten eleven")


def _labelled() -> LabelledHistory:
    records = [Record(text, id=f"r{n}", when=datetime(2024, 1, n + 1, tzinfo=UTC)) for n, text in enumerate(WORDS)]
    evidence = [("r0",), ("r1", "r3"), ("r2",)]
    questions = [Question(Request(f"question {n}"), "x", ids, category=n) for n, ids in enumerate(evidence)]
    return LabelledHistory(History(records, "ana"), tuple(questions))


def _count(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


class _Shortest:
    """Prefers short segments, and counts what it is asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def __call__(self, history: History, request: Request, segments: Sequence[Segment]) -> Marks:
        self.calls.append((history.user, request.query))
        scores = -np.array(_count([piece.text for piece in segments]), dtype=np.float32)
        return Marks(tuple(segments), scores, "shortest", tokens_fed=100 if len(self.calls) == 2 else 7)


def test_a_trial_counts_whole_records() -> None:
    trial = make_trial(_labelled(), _count, 0.5)
    assert [piece.text for piece in trial.segments] == list(WORDS)
    assert trial.costs == (4, 1, 2, 4)
    assert (trial.tokens, trial.budget, trial.asked) == (11, 5, (0, 1, 2))


def test_measured_by_hand() -> None:
    marker = _Shortest()
    rows = list(measure(marker, make_trial(_labelled(), _count, 0.5)))
    # The order is r1 (1), r2 (2), r0 (4), r3 (4); a budget of 5 takes r1 and r2, then nothing fits.
    assert [row.recall_at_budget for row in rows] == [0.0, 0.5, 1.0]
    assert [row.recall_at_10 for row in rows] == [1.0, 1.0, 1.0]
    # r0 beats none of r1, r2 and ties with r3; r1 beats both others and r3 half of one; r2 beats r0 and r3.
    assert [row.auc for row in rows] == pytest.approx([0.5 / 3, 2.5 / 4, 2 / 3])
    assert [(row.history, row.question, row.category) for row in rows] == [("ana", 0, 0), ("ana", 1, 1), ("ana", 2, 2)]


def test_the_first_call_on_the_history_is_cold_and_the_one_before_is_not_counted() -> None:
    marker = _Shortest()
    rows = list(measure(marker, make_trial(_labelled(), _count, 0.5)))
    assert [user for user, _ in marker.calls] == ["", "ana", "ana", "ana"]
    assert [(row.cold, row.tokens_fed) for row in rows] == [(True, 100), (False, 7), (False, 7)]
    assert all(row.seconds >= 0 for row in rows)


def test_limits_spread_evenly() -> None:
    assert spread(range(10), None) == tuple(range(10))
    assert spread(range(10), 12) == tuple(range(10))
    assert spread(range(10), 4) == (0, 3, 6, 9)
    assert spread((5, 7, 9), 1) == (5,)
    with pytest.raises(InputError, match="limit of 0"):
        spread(range(10), 0)
    marker = _Shortest()
    trial = make_trial(_labelled(), _count, 0.5, limit=2)
    assert trial.asked == (0, 2)
    assert [row.question for row in measure(marker, trial, limit=1)] == [0]
