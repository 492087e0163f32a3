"""Fusion of several markers: the weighted sum of their standardised scores, shared with neighbours in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from penchant.errors import InputError, ModelError
from penchant.hints import command
from penchant.history.records import History, Request, Segment
from penchant.index.score import standardise
from penchant.lens.conditional_logit import with_neighbours
from penchant.marking.attention import attention
from penchant.marking.bm25 import make as bm25
from penchant.marking.dense import make as dense
from penchant.marking.marks import Marker, Marks
from penchant.marking.resources import Resources

#: Weights for a calibration that was fitted without some of the available markers: chosen on LoCoMo with the embedded
#: model.
UNFITTED = {"attention": 1.0, "bm25": 0.5, "dense": 1.0}


def fusion(
    parts: Sequence[tuple[Marker, float]], *, previous: float = 0.0, following: float = 0.0, name: str = "fusion"
) -> Marker:
    """Make a marker that sums the scores of its parts, each standardised over the history and multiplied by its weight.

    previous, following: the share of the sum that a segment gets from the one before and the one after it. Heads and
    history tokens are taken from the part that reports them; tokens fed and seconds are added up.

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


def fused(resources: Resources) -> Marker:
    """Attention, BM25 and, if it is installed, the dense encoder, added up with weights learned on labelled evidence.

    The weights are the calibration's, or UNFITTED.
    """
    parts: dict[str, Callable[[], Marker]] = {
        "attention": partial(attention, resources.indexes, neighbours=False),
        "bm25": partial(bm25, resources),
        "dense": partial(dense, resources),
    }
    made = {}
    for name, make in parts.items():
        try:
            made[name] = make()
        except ModelError:
            if name != "dense":
                raise
    calibration = resources.calibration
    shares = {"previous": calibration.previous, "following": calibration.following}
    fitted = {**shares, **calibration.fusion.get("+".join(made), UNFITTED)}
    absent = [name for name in made if name not in fitted]
    if absent:
        raise ModelError(
            f"calibration {calibration.name} has no fusion weight for {absent[0]}: expected one for each of "
            f"{', '.join(made)}; run {command('heads discover', **resources.loaded.options)} again"
        )
    return fusion(
        [(marker, fitted[name]) for name, marker in made.items()],
        previous=fitted["previous"],
        following=fitted["following"],
    )
