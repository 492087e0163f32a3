"""Resources from which markers, compressors, memories and detectors are made: a model and everything prepared
for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

from penchant.history.records import History, Segment
from penchant.index.encode import Encoder
from penchant.index.pool import DEFAULT_LIMIT, Directory, IndexPool, VectorPool, in_memory
from penchant.index.table import Storage
from penchant.lens.calibration import Calibration, calibration_for, user_calibrations
from penchant.lens.lens import Lens
from penchant.marking.bm25 import term_indexes
from penchant.marking.dense import Embeddings
from penchant.marking.incremental import IncrementalCache
from penchant.models.loading import LoadedModel, load_model
from penchant.progress import Progress, no_progress
from penchant.text.bm25 import GrowingIndex


class Resources:
    """Shared resources; the model is loaded when first needed.

    model: a loaded model, or what `load_model` takes. calibration: default the one `calibration_for` finds.
    directory, storage, limit, progress: see `IndexPool`.
    """

    def __init__(
        self,
        model: LoadedModel | str | Path = "smollm2",
        *,
        calibration: Calibration | None = None,
        directory: Directory = in_memory,
        storage: Storage = "native",
        limit: int = DEFAULT_LIMIT,
        progress: Progress = no_progress,
    ) -> None:
        self._model, self._calibration = model, calibration
        self.history_tokens: Callable[[History], int] | None = None
        """Returns the cached number of tokens of a history; None: there is no cache, and users of it count
        themselves.
        """
        self._base: Resources | None = None  # the resources whose sentence encoder is used
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
        """The dense encoder. Raises `ModelError` if it isn't installed."""
        return self._base.embeddings if self._base is not None else Embeddings()

    @cached_property
    def vectors(self) -> VectorPool:
        """Sentence vectors of histories, stored next to their indexes. Raises as `embeddings`."""
        return VectorPool(self.embeddings, self._pool["directory"])

    @cached_property
    def indexes(self) -> IndexPool:
        return IndexPool(Encoder(self.lens, self.calibration), **self._pool)

    @cached_property
    def terms(self) -> IncrementalCache[GrowingIndex]:
        """BM25 indexes of histories, in memory."""
        return term_indexes()

    @contextmanager
    def reading(self, requests: Sequence[str]) -> Iterator[None]:
        """Read many requests in shared passes, for marks that are made while the context is open. Only what the marker
        uses is read. Raises `InputError` for a request that doesn't fit the model's window.
        """
        if "embeddings" in vars(self):
            self.embeddings(requests)
        with self.indexes.encoder.holding(requests) if "indexes" in vars(self) else nullcontext():
            yield

    def slices(self, history: History, segments: Sequence[Segment], size: Callable[[], int]) -> Iterator[int]:
        """Prepare a history for marking in passes of about `size()` tokens, and yield the tokens of each (0: unknown).
        Only what the marker uses is prepared.
        """
        if "indexes" in vars(self):
            yield from self.indexes.slices(history, size)
        if "vectors" in vars(self):
            yield from self.vectors.slices(history, segments, size)

    def unread(self, history: History, segments: Sequence[Segment]) -> int:
        """Return how many characters of a history the first mark would have to read."""
        unread = 0
        if "indexes" in vars(self):
            unread = sum(len(record.body) for _, record in self.indexes.get(history).missing(history))
        if not unread and "vectors" in vars(self):
            unread = sum(len(one.text) for one in self.vectors.get(history).missing(history, segments))
        return unread

    def beside(self, directory: Directory) -> Resources:
        """Return resources with the same model and calibration, and separate indexes that are kept elsewhere."""
        made = Resources(self.loaded, calibration=self._calibration, **{**self._pool, "directory": directory})
        made._base = self
        return made

    def close(self, who: str | History) -> None:
        """Drop everything held in memory for a user, or for a history without one."""
        for name in ("indexes", "vectors", "terms"):
            if name in vars(self):  # only if they were already made
                getattr(self, name).close(who)
