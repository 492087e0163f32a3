"""How markers are measured: every question of labelled histories, quality beside seconds and tokens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from penchant.errors import InputError
from penchant.evaluation.metrics import auc, recall_at_budget, recall_at_k
from penchant.history.records import History, Record, Request, Segment
from penchant.history.segmentation import segment
from penchant.lens.labelled import LabelledHistory, Question
from penchant.marking.marks import Marker

K = 10
METRICS = ("auc", "recall_at_10", "recall_at_budget")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One marker on one question. question: its place in the labelled history. cold: the marker's first call on the
    history, so `seconds` (wall time) and `tokens_fed` include whatever it prepares for later ones."""

    history: str
    question: int
    category: int
    auc: float
    recall_at_10: float
    recall_at_budget: float
    seconds: float
    tokens_fed: int
    cold: bool


@dataclass(frozen=True)
class Trial:
    """A labelled history made ready: whole records as segments, what each costs, and what may be spent.

    costs: [segments], tokens. budget: tokens. asked: places of the questions that are measured.
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


def spread(places: Sequence[int], limit: int | None) -> tuple[int, ...]:
    """All of the places, or `limit` of them at even distances. Raises `InputError` for a limit below 1."""
    if limit is None or limit >= len(places):
        return tuple(places)
    if limit < 1:
        raise InputError(f"a limit of {limit} questions: expected at least 1")
    return tuple(places[place] for place in np.linspace(0, len(places) - 1, limit).round().astype(int))


def measure(marker: Marker, trial: Trial, limit: int | None = None) -> Iterator[Measurement]:
    """Measure a new marker on a trial's questions (or `limit` evenly spread ones of them), one by one.

    Before the first, the marker is called once on an unrelated history of two records, so that loading a model isn't
    taken for the cost of the history.
    """
    unrelated = History([Record("The kettle is new."), Record("The bus was late.")])
    marker(unrelated, Request("What is new?"), segment(unrelated, "record"))
    for number, place in enumerate(spread(trial.asked, limit)):
        question = trial.labelled.questions[place]
        began = time.perf_counter()
        marks = marker(trial.labelled.history, question.request, trial.segments)
        seconds = time.perf_counter() - began
        positives = evidence_positions(question, trial.segments)
        yield Measurement(
            trial.labelled.history.user,
            place,
            question.category,
            auc(marks.scores, positives),
            recall_at_k(marks.scores, K, positives),
            recall_at_budget(marks.scores, trial.costs, trial.budget, positives),
            seconds,
            marks.tokens_fed,
            cold=number == 0,
        )


def evidence_positions(question: Question, segments: Sequence[Segment]) -> list[int]:
    """Positions of the segments that belong to the question's evidence."""
    evidence = set(question.evidence)
    return [position for position, piece in enumerate(segments) if piece.record_id in evidence]
