"""Marks: the result of a marker, a score per segment and its origin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from penchant.history.records import History, Request, Segment

if TYPE_CHECKING:
    from penchant.text.dates import TimeExpression

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Marks:
    """Scores of the segments of one history for one request. Higher is more important.

    segments: in time order. scores: float32 [segments], finite. heads: the (layer, head) pairs that were read.
    layers_run: how deep the model ran (0: no model). calibration: name of the calibration used.
    history_tokens: size of the whole history in the marking model's tokens. tokens_fed: tokens that went through
    the model for this call. seconds: wall time by phase ("encode": the history, "mark": the request). dates: those of
    the request that moved the scores.
    """

    segments: tuple[Segment, ...]
    scores: FloatArray
    marker: str
    heads: tuple[tuple[int, int], ...] = ()
    layers_run: int = 0
    calibration: str | None = None
    history_tokens: int = 0
    tokens_fed: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    dates: tuple[TimeExpression, ...] = ()

    def __post_init__(self) -> None:
        scores = np.asarray(self.scores, dtype=np.float32)
        if scores.shape != (len(self.segments),):
            raise ValueError(f"{scores.shape} scores for {len(self.segments)} segments")
        if not np.isfinite(scores).all():
            raise ValueError(f"marker {self.marker!r} gave a score that is not finite")
        object.__setattr__(self, "scores", scores)

    def ranked(self) -> npt.NDArray[np.intp]:
        """Return the positions of the segments, best first; ties keep time order."""
        return np.argsort(-self.scores, kind="stable")


Marker = Callable[[History, Request, Sequence[Segment]], Marks]
"""A marker scores the given segments of a history for a request."""
