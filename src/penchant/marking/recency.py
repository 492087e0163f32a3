"""Recency: the newest records matter most. The baseline of every personalization paper."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from penchant.history.records import History, Request, Segment
from penchant.marking.marks import Marker, Marks
from penchant.marking.resources import Resources


def recency() -> Marker:
    """Make a marker that scores a segment by the position of its record, from near 0 (oldest) to 1 (newest).

    Segments of one record tie, so they keep their order. The request is ignored. No model or tokenizer runs, so
    `history_tokens` is 0 (not measured).
    """

    def mark(history: History, request: Request, segments: Sequence[Segment]) -> Marks:
        began = time.perf_counter()
        positions = np.fromiter((s.record for s in segments), dtype=np.float64, count=len(segments))
        scores = ((positions + 1) / max(len(history), 1)).astype(np.float32)
        return Marks(tuple(segments), scores, "recency", seconds={"encode": 0.0, "mark": time.perf_counter() - began})

    return mark


def make(resources: Resources) -> Marker:
    """The newest records first; ignores the request."""
    return recency()
