"""Several markers as one: the weighted sum of their standardised scores, shared with neighbours in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from penchant.errors import InputError
from penchant.history.records import History, Request, Segment
from penchant.index.score import standardise
from penchant.lens.conditional_logit import with_neighbours
from penchant.marking.marks import Marker, Marks


def fusion(
    parts: Sequence[tuple[Marker, float]], *, previous: float = 0.0, following: float = 0.0, name: str = "fusion"
) -> Marker:
    """A marker that sums the parts' scores, each standardised over the history and times its weight.

    previous, following: the share of the sum that a segment gets from the one before and the one after it. What the
    parts report (heads, tokens, seconds) is taken from whoever has it, tokens fed and seconds are added up.

    Raises `InputError` without parts.
    """
    if not parts:
        raise InputError("nothing to fuse: expected at least one marker with its weight")

    def mark(history: History, request: Request, segments: Sequence[Segment]) -> Marks:
        marked = [(part(history, request, segments), weight) for part, weight in parts]
        total = np.zeros(len(segments), dtype=np.float32)
        if len(segments):
            for marks, weight in marked:
                total += weight * standardise(marks.scores)
        lead = max((marks for marks, _ in marked), key=lambda marks: (bool(marks.heads), marks.history_tokens))
        phases = {phase for marks, _ in marked for phase in marks.seconds}
        return replace(
            lead,
            scores=with_neighbours(total, previous, following),
            marker=name,
            tokens_fed=sum(marks.tokens_fed for marks, _ in marked),
            seconds={phase: sum(marks.seconds.get(phase, 0.0) for marks, _ in marked) for phase in sorted(phases)},
        )

    return mark
