"""Penchant's marker: the model's own retrieval heads, read through the attention index."""

from __future__ import annotations

import time
from collections.abc import Sequence

from penchant.history.records import History, Request, Segment
from penchant.index.pool import IndexPool
from penchant.lens.conditional_logit import with_neighbours
from penchant.marking.marks import Marker, Marks
from penchant.marking.resources import Resources


def attention(indexes: IndexPool, *, neighbours: bool = True) -> Marker:
    """Make a marker that matches the request's queries with the stored keys of the history.

    The first call on a history encodes it ("encode" in `seconds`); later ones cost the request's own tokens and one
    read of the index. neighbours: whether a segment gets a share of its neighbours' scores, as calibrated.
    """
    calibration = indexes.encoder.calibration

    def mark(history: History, request: Request, segments: Sequence[Segment]) -> Marks:
        began = time.perf_counter()
        index, change = indexes.open(history)
        opened = time.perf_counter()
        scores, fed = index.score(history, segments, request.query)
        if neighbours:
            scores = with_neighbours(scores, calibration.previous, calibration.following)
        return Marks(
            tuple(segments),
            scores,
            "attention",
            heads=calibration.heads,
            layers_run=calibration.last_layer + 1,
            calibration=calibration.name,
            history_tokens=index.tokens,
            tokens_fed=change.tokens_encoded + fed,
            seconds={"encode": opened - began, "mark": time.perf_counter() - opened},
        )

    return mark


def make(resources: Resources) -> Marker:
    """The attention index alone; runs the model for new records and for the request."""
    return attention(resources.indexes)
