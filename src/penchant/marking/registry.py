"""Markers by name, and the toolbox they are made from. Adding one is one line in MARKERS."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from penchant.errors import InputError, ModelError
from penchant.index.encode import Encoder
from penchant.index.pool import DEFAULT_LIMIT, Directory, IndexPool
from penchant.index.table import Storage
from penchant.lens.calibration import Calibration, calibration_for, user_calibrations
from penchant.lens.lens import Lens
from penchant.marking.attention import attention
from penchant.marking.attn_gs import attn_gs
from penchant.marking.bm25 import bm25
from penchant.marking.dense import Embeddings, dense
from penchant.marking.fusion import fusion
from penchant.marking.marks import Marker
from penchant.marking.random import random_marker
from penchant.marking.recency import recency
from penchant.models.loading import LoadedModel, load_model
from penchant.progress import Progress, no_progress
from penchant_lab.markers.surprisal import surprisal

DEFAULT_MARKER = "fusion"
#: For a calibration that was fitted without some of the markers at hand: chosen on LoCoMo with the embedded model.
UNFITTED = {"attention": 1.0, "bm25": 0.5, "dense": 1.0}


class Toolbox:
    """What markers are made from; the model is loaded when the first marker that needs it is made.

    model: a loaded model, or what `load_model` takes. calibration: default the one `calibration_for` finds.
    directory, storage, limit, progress: see `IndexPool`.
    """

    def __init__(
        self,
        model: LoadedModel | str | Path = "smollm2",
        *,
        calibration: Calibration | None = None,
        directory: Directory = lambda user: None,
        storage: Storage = "native",
        limit: int = DEFAULT_LIMIT,
        progress: Progress = no_progress,
    ) -> None:
        self._model, self._calibration = model, calibration
        self._pool: dict[str, Any] = {"directory": directory, "storage": storage, "limit": limit, "progress": progress}

    @cached_property
    def loaded(self) -> LoadedModel:
        return self._model if isinstance(self._model, LoadedModel) else load_model(self._model)

    @cached_property
    def lens(self) -> Lens:
        return Lens(self.loaded)

    @cached_property
    def calibration(self) -> Calibration:
        chosen = self._calibration or calibration_for(self.loaded, user_calibrations())
        chosen.check(self.loaded)
        return chosen

    @cached_property
    def embeddings(self) -> Embeddings:
        """Of the dense encoder. Raises `ModelError` where it isn't installed."""
        return Embeddings()

    @cached_property
    def indexes(self) -> IndexPool:
        return IndexPool(Encoder(self.lens, self.calibration), **self._pool)

    def beside(self, directory: Directory) -> Toolbox:
        """A toolbox of the same model and calibration whose indexes are others, kept elsewhere."""
        return Toolbox(self.loaded, calibration=self._calibration, **{**self._pool, "directory": directory})

    def close(self, user: str) -> None:
        """Let go of what is held in memory of a user's index."""
        if "indexes" in vars(self):  # not made just for this
            self.indexes.close(user)


def fused(
    toolbox: Toolbox, lexical: Callable[[], Marker] = bm25, embedding: Callable[[], Marker] | None = None
) -> Marker:
    """The default marker: attention, BM25, and the dense encoder when it is installed, with the weights of the
    model's calibration (learned on labelled evidence), or UNFITTED.

    lexical, embedding: what makes the BM25 and the dense marker, where the usual ones won't do.
    """
    parts: dict[str, Callable[[], Marker]] = {
        "attention": partial(attention, toolbox.indexes, neighbours=False),
        "bm25": lexical,
        "dense": embedding or dense,
    }
    made = {}
    for name, make in parts.items():
        try:
            made[name] = make()
        except ModelError:
            if name != "dense":
                raise
    calibration = toolbox.calibration
    shares = {"previous": calibration.previous, "following": calibration.following}
    fitted = {**shares, **calibration.fusion.get("+".join(made), UNFITTED)}
    absent = [name for name in made if name not in fitted]
    if absent:
        raise ModelError(
            f"calibration {calibration.name} has no fusion weight for {absent[0]}: expected one for each of "
            f"{', '.join(made)}; run `penchant heads discover --model {toolbox.loaded.name}` again"
        )
    return fusion(
        [(marker, fitted[name]) for name, marker in made.items()],
        previous=fitted["previous"],
        following=fitted["following"],
    )


MARKERS: dict[str, Callable[[Toolbox], Marker]] = {
    "fusion": fused,
    "attention": lambda toolbox: attention(toolbox.indexes),
    "attn-gs": lambda toolbox: attn_gs(toolbox.lens),
    "bm25": lambda toolbox: bm25(),
    "dense": lambda toolbox: dense(),
    "surprisal": lambda toolbox: surprisal(toolbox.loaded),
    "recency": lambda toolbox: recency(),
    "random": lambda toolbox: random_marker(),
}


def make_marker(name: str, toolbox: Toolbox) -> Marker:
    """The marker `name`. Raises `InputError` for an unknown name, `ModelError` for what the model lacks."""
    try:
        make = MARKERS[name]
    except KeyError:
        raise InputError(f"no marker {name!r}: expected one of {', '.join(MARKERS)}") from None
    return make(toolbox)
