from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from penchant.errors import InputError
from penchant.history.records import History, Record, Request
from penchant.lens.labelled import LabelledHistory, Question
from penchant_lab.measures.protocol import evidence_positions, make_trial, spread

WORDS = ("one two three. Four.", "five", "six seven", "eight nine ten eleven")


def _labelled() -> LabelledHistory:
    records = [Record(text, id=f"r{n}", when=datetime(2024, 1, n + 1, tzinfo=UTC)) for n, text in enumerate(WORDS)]
    evidence = [("r0",), ("r1", "r3"), ("r2",)]
    questions = [Question(Request(f"question {n}"), "x", ids, category=n) for n, ids in enumerate(evidence)]
    return LabelledHistory(History(records, "ana"), tuple(questions))


def _count(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def test_a_trial_counts_whole_records() -> None:
    trial = make_trial(_labelled(), _count, 0.5)
    assert [piece.text for piece in trial.segments] == list(WORDS)
    assert trial.costs == (4, 1, 2, 4)
    assert (trial.tokens, trial.budget, trial.asked) == (11, 5, (0, 1, 2))


def test_limits_spread_evenly() -> None:
    assert spread(range(10), None) == tuple(range(10))
    assert spread(range(10), 12) == tuple(range(10))
    assert spread(range(10), 4) == (0, 3, 6, 9)
    assert spread((5, 7, 9), 1) == (5,)
    with pytest.raises(InputError, match="limit of 0"):
        spread(range(10), 0)
    trial = make_trial(_labelled(), _count, 0.5, limit=2)
    assert trial.asked == (0, 2)
    assert evidence_positions(trial.labelled.questions[1], trial.segments) == [1, 3]
