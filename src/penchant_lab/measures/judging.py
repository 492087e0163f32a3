"""Computes the figures of one item from a model's reply and a method's notes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from penchant.history.records import Segment
from penchant_lab.bench.items import Item
from penchant_lab.measures.metrics import auc, recall_at_budget, recall_at_k
from penchant_lab.measures.scores import METRICS
from penchant_lab.methods.method import Notes, Reply
from penchant_lab.tasks.task import Task

K = 10


@dataclass(frozen=True)
class Answered:
    """What a reply is worth; see `Row`."""

    loss: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    predicted: float | None = None
    true: float | None = None


def judge(item: Item, reply: Reply, task: Task) -> Answered:
    """Loss and the task's metrics of a reply.

    Text: nats per token of the true answer (None without one). Choices: their likelihoods are made to sum to 1; the
    loss is that of the true one, the prediction the likeliest one, or, where choices stand for numbers, the
    expectation.
    """
    if not item.choices:
        loss = reply.nlls[0] / reply.lengths[0] if reply.nlls else None
        return Answered(loss, _metrics(task, "text", reply.text, item))
    sums = np.array(reply.nlls)
    costs = sums / np.array(reply.lengths) if task.scoring == "mean" else sums
    shares = np.exp(costs.min() - costs)
    shares /= shares.sum()
    true = item.choices.index(item.answer)
    loss = -math.log(max(float(shares[true]), 1e-30))
    chosen = item.choices[int(np.argmin(costs))]
    metrics = _metrics(task, "choice", chosen, item)
    if item.values and item.value is not None:
        return Answered(loss, metrics, float(shares @ np.array(item.values)), item.value)
    return Answered(loss, metrics, float(np.argmin(costs)), float(true))


def _metrics(task: Task, kind: str, said: str, item: Item) -> dict[str, float]:
    found = {}
    for name in task.metrics:
        metric = METRICS[name]
        if metric.of_item is not None and metric.needs == kind:
            value = metric.of_item(said, item)
            if value is not None:
                found[name] = value
    return found


def _recalled(item: Item, pieces: Sequence[Segment]) -> int:
    """How many of the evidence records are among the pieces, with the words that hold the answer."""
    quotes = dict(zip(item.evidence, item.quotes or ("",) * len(item.evidence), strict=True))
    return len({piece.record_id for piece in pieces if quotes.get(piece.record_id, "\0") in piece.text})


@dataclass(frozen=True)
class Found:
    """How much of the evidence was found; see `Row`. None if unknown."""

    recall: float | None = None
    precision: float | None = None
    auc: float | None = None
    recall_at_10: float | None = None


def evidence_found(
    item: Item, notes: Notes, segments: Sequence[Segment], costs: tuple[Sequence[int], int] | None = None
) -> Found:
    """How much of the item's evidence the notes hold, and how well the scores find it.

    segments: all of the history, as `notes.scores` has them. costs: (tokens of each, budget): recall is then of the
    best-scored segments that the budget takes, whatever a compressor would make of them.
    """
    evidence = set(item.evidence)
    if not evidence:
        return Found()
    area = at_k = recall = precision = None
    at = [position for position, piece in enumerate(segments) if piece.record_id in evidence]
    if notes.scores is not None and 0 < len(at) < len(segments):
        area, at_k = auc(notes.scores, at), recall_at_k(notes.scores, K, at)
    if costs is not None:
        recall = recall_at_budget(notes.scores, *costs, at) if notes.scores is not None and at else None
    elif notes.segments is not None:
        taken = {piece.record_id for piece in notes.segments}
        recall = _recalled(item, notes.segments) / len(evidence)
        precision = len(taken & evidence) / len(taken) if taken else None
    return Found(recall, precision, area, at_k)
