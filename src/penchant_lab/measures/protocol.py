"""Labelled histories prepared for measuring: their segments, the cost of each, and the questions to ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from penchant.errors import InputError
from penchant.history.records import Segment
from penchant.history.segmentation import segment
from penchant.lens.labelled import LabelledHistory, Question


@dataclass(frozen=True)
class Trial:
    """A prepared labelled history: whole records as segments, the cost of each, and the budget.

    costs: [segments], tokens. budget: tokens. asked: positions of the questions that are measured.
    """

    labelled: LabelledHistory
    segments: tuple[Segment, ...]
    costs: tuple[int, ...]
    budget: int
    asked: tuple[int, ...]

    @property
    def tokens(self) -> int:
        return sum(self.costs)


def make_trial(
    labelled: LabelledHistory,
    count_tokens: Callable[[Sequence[str]], Sequence[int]],
    share: float,
    limit: int | None = None,
) -> Trial:
    """A trial whose budget is `share` of the history's tokens, of all questions or `limit` evenly spread ones.

    count_tokens: the tokens of each text, in the marking model's tokenizer.
    """
    segments = segment(labelled.history, "record")
    costs = tuple(count_tokens([piece.text for piece in segments]))
    return Trial(labelled, segments, costs, int(share * sum(costs)), spread(range(len(labelled.questions)), limit))


def spread(positions: Sequence[int], limit: int | None) -> tuple[int, ...]:
    """All of the positions, or `limit` of them at even distances. Raises `InputError` for a limit below 1."""
    if limit is None or limit >= len(positions):
        return tuple(positions)
    if limit < 1:
        raise InputError(f"a limit of {limit} questions: expected at least 1")
    step = (len(positions) - 1) / max(limit - 1, 1)
    return tuple(positions[round(number * step)] for number in range(limit))


def evidence_positions(question: Question, segments: Sequence[Segment]) -> list[int]:
    """Positions of the segments that belong to the question's evidence."""
    evidence = set(question.evidence)
    return [position for position, piece in enumerate(segments) if piece.record_id in evidence]
