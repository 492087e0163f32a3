"""Random marks: the baseline that any marker must beat."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from penchant.history.records import History, Request, Segment
from penchant.marking.lru import digest
from penchant.marking.marks import Marker, Marks
from penchant.marking.resources import Resources


def random_marker(seed: int = 0) -> Marker:
    """Make a marker with uniform scores in [0, 1) that depend only on the seed, the request and the segments' texts.

    The same call gives the same scores on any machine; another request or history gives different ones. No model or
    tokenizer runs, so `history_tokens` is 0 (not measured).
    """

    def mark(history: History, request: Request, segments: Sequence[Segment]) -> Marks:
        began = time.perf_counter()
        key = digest(str(seed), request.query, request.task or "", *(s.text for s in segments))
        rng = np.random.default_rng(int.from_bytes(key, "little"))
        scores = rng.random(len(segments), dtype=np.float32)
        return Marks(tuple(segments), scores, "random", seconds={"encode": 0.0, "mark": time.perf_counter() - began})

    return mark


def make(resources: Resources) -> Marker:
    """Random scores, the same on every machine; the baseline that any marker has to beat."""
    return random_marker()
