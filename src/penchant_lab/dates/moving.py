"""What dates in requests do to the marks: evidence recall with and without them, paired question by question."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from penchant.compression.budget import count_each
from penchant.history.records import History, Request
from penchant.history.segmentation import segment
from penchant.marking.dated import dated, last_time, nearness
from penchant.marking.marks import Marker
from penchant.marking.registry import make_marker
from penchant.marking.resources import Resources
from penchant.text.dates import time_expressions
from penchant_lab.measures.metrics import paired_bootstrap, recall_at_budget

SHARE = 0.02
"""Of a history's tokens: the budget."""


@dataclass(frozen=True)
class Question:
    """group: what it is reported under."""

    group: str
    history: History
    request: Request
    evidence: tuple[str, ...]


class Moved:
    """Figures of questions under each marker. A question without a date that tells records apart is counted as
    unchanged, which `dated` guarantees, and isn't marked.
    """

    def __init__(self, markers: Sequence[str], resources: Resources) -> None:
        self.resources = resources
        self._costs: dict[History, list[int]] = {}
        self.markers = {name: make_marker(name, resources) for name in markers}

    def measure(self, questions: Sequence[Question], budget: float = SHARE) -> dict[str, Any]:
        """By marker and group: recall of the evidence at the budget without dates, and how much dates add, with 95 %
        intervals by conversation.
        """
        asked = [(question, at) for at, question in enumerate(questions)]
        moved = [at for question, at in asked if _has_date(question)]
        made: dict[str, Any] = {}
        for name, marker in self.markers.items():
            pairs = {at: self._pair(marker, questions[at], budget) for at in moved}
            groups = dict.fromkeys(["all", *(question.group for question in questions)])
            made[name] = {
                group: _figures(
                    [(questions[at], pairs[at]) for at in moved if group in ("all", questions[at].group)],
                    sum(group in ("all", question.group) for question in questions),
                )
                for group in groups
            }
            for question in {id(q.history): q for q in questions}.values():
                self.resources.close(question.history.user)
        return made

    def _pair(self, marker: Marker, question: Question, budget: float) -> tuple[float, float]:
        segments = segment(question.history, "record")
        if question.history not in self._costs:
            texts = [one.text for one in segments]
            self._costs[question.history] = count_each(self.resources.loaded.tokenizer, texts).tolist()
        costs = self._costs[question.history]
        at = {one.record_id: position for position, one in enumerate(segments)}
        evidence = [at[name] for name in question.evidence]
        tokens = max(int(budget * sum(costs)), 1)
        plain = marker(question.history, question.request, segments)
        with_dates = dated(lambda *_: plain, clock=last_time)(question.history, question.request, segments)
        return (
            recall_at_budget(plain.scores, costs, tokens, evidence),
            recall_at_budget(with_dates.scores, costs, tokens, evidence),
        )


def moves(questions: Iterable[Question]) -> int:
    """Return how many of the questions have a date that moves the marks."""
    return sum(map(_has_date, questions))


def _has_date(question: Question) -> bool:
    now = question.request.now or last_time(question.history)
    found = time_expressions(question.request.query, now)
    return bool(found and nearness(question.history, segment(question.history, "record"), found)[1])


def _figures(pairs: Sequence[tuple[Question, tuple[float, float]]], of: int) -> dict[str, Any]:
    if not pairs:
        return {"questions": of, "moved": 0}
    plain, moved = np.array([pair for _, pair in pairs]).T
    users = [question.history.user for question, _ in pairs]
    gain = paired_bootstrap(moved, plain, clusters=users)
    return {
        "questions": of,
        "moved": len(pairs),
        "recall": round(float(plain.mean()), 3),
        "with dates": round(float(moved.mean()), 3),
        "gain": [round(figure, 3) for figure in (gain.mean, gain.low, gain.high)],
        "gain of all": round(gain.mean * len(pairs) / of, 3),
        "better": int((moved > plain).sum()),
        "worse": int((moved < plain).sum()),
    }
