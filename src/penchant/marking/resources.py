"""What markers, compressors, memories and detectors are made from: one model and what is prepared for it once."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from penchant.index.encode import Encoder
from penchant.index.pool import DEFAULT_LIMIT, Directory, IndexPool
from penchant.index.table import Storage
from penchant.lens.calibration import Calibration, calibration_for, user_calibrations
from penchant.lens.lens import Lens
from penchant.marking.dense import Embeddings
from penchant.models.loading import LoadedModel, load_model
from penchant.progress import Progress, no_progress


class Resources:
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

    def beside(self, directory: Directory) -> Resources:
        """The same model and calibration, with other indexes that are kept elsewhere."""
        return Resources(self.loaded, calibration=self._calibration, **{**self._pool, "directory": directory})

    def close(self, user: str) -> None:
        """Let go of what is held in memory of a user's index."""
        if "indexes" in vars(self):  # not made just for this
            self.indexes.close(user)
