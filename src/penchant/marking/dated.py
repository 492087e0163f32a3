"""Dates in a request move the marks: records of the time that is asked about come first, whatever the marker."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from penchant.history.records import History, Request, Segment
from penchant.marking.marks import FloatArray, Marker, Marks
from penchant.text.dates.expressions import TimeExpression, time_expressions

WEIGHT = 3.0
"""Standard deviations of a history's scores that a date adds to the records of its time. Chosen on three conversations
of LoCoMo.
"""
ORDER_WEIGHT = 1.0
"""The same for the newest record, where the request asks for the latest, or the oldest. It decides among records that
match the request about as well.
"""
OUTSIDE = 0.5
"""What a record at the very edge of a time has of the weight of one within it."""
LATE, EARLY = 7.0, 2.0
"""Days in which the weight of a record after, or before, the time that is asked about falls to 1/e: people tell
afterwards what happened. For a longer time, a quarter of its length where that is more.
"""
Days = npt.NDArray[np.float64]
_LEAST = 0.05  # a history without a record this near to the time isn't about it


def dated(
    marker: Marker, *, weight: float = WEIGHT, clock: Callable[[History], datetime] = lambda _: datetime.now(UTC)
) -> Marker:
    """Make a marker that adds, to another's scores, how near each record is to the dates in the request.

    "on 5 March 2026", "last week", "in spring 2024", "since May", "most recently" are resolved against `Request.now`,
    or `clock` of the history. Marks are returned as they are if the request has no date (see `time_expressions`), or no
    record has a time near it; else `Marks.dates` says which dates moved the scores. Records without a time are near no
    date.

    weight: see WEIGHT; ORDER_WEIGHT is scaled with it.
    """

    def mark(history: History, request: Request, segments: Sequence[Segment]) -> Marks:
        marks = marker(history, request, segments)
        began = time.perf_counter()
        now = request.now or clock(history)
        near, dates = nearness(history, segments, time_expressions(request.query, now))
        if not dates:
            return marks
        scores = marks.scores + weight / WEIGHT * float(marks.scores.std() or 1.0) * near
        seconds = {**marks.seconds, "mark": marks.seconds.get("mark", 0.0) + time.perf_counter() - began}
        return replace(marks, scores=scores.astype(np.float32), dates=dates, seconds=seconds)

    return mark


def nearness(
    history: History, segments: Sequence[Segment], expressions: Sequence[TimeExpression]
) -> tuple[FloatArray, tuple[TimeExpression, ...]]:
    """Return what to add to the scores of segments, float32 [segments] in standard deviations, and the expressions that
    tell them apart.

    Of several periods, the nearest counts; an order is added to them.
    """
    days = np.array([record.when.timestamp() / 86400 if record.when else np.nan for record in history])
    at = np.fromiter((segment.record for segment in segments), dtype=np.intp, count=len(segments))
    nearest, order = np.zeros(len(history)), np.zeros(len(history))
    moved = []
    for one in expressions if np.isfinite(days).any() else ():
        if one.order is not None:
            newer = np.where(np.isfinite(days), (np.arange(len(history)) + 1) / len(history), 0.0)
            order = newer if one.order == "last" else np.where(newer > 0, 1 + 1 / len(history) - newer, 0.0)
            part = order
        else:
            part = _near(days, one)
            nearest = np.maximum(nearest, part)
        if len(at) and part[at].max() >= _LEAST and np.ptp(part[at]) > 0:
            moved.append(one)
    total = WEIGHT * nearest + ORDER_WEIGHT * order
    return total[at].astype(np.float32), tuple(moved)


def last_time(history: History) -> datetime:
    """Return the time of the newest record: the clock of a history that is read long after it was made."""
    return max((record.when for record in history if record.when), default=datetime.now(UTC))


def _near(days: Days, one: TimeExpression) -> Days:
    """1 within the period, less and falling off outside of it; 0 for records without a time. float64 [records]."""
    start = one.start.timestamp() / 86400 if one.start else -np.inf
    end = one.end.timestamp() / 86400 if one.end else np.inf
    quarter = (end - start) / 4 if one.start and one.end else 0.0
    late = np.exp(-np.maximum(days - end, 0) / max(LATE, quarter))
    early = np.exp(-np.maximum(start - days, 0) / max(EARLY, quarter))
    inside = (days >= start) & (days < end)
    return np.nan_to_num(np.where(inside, 1.0, OUTSIDE * np.minimum(late, early)))
