"""Sentence vectors of a history, kept in sync with it, in memory and next to the attention index on disk."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch

from penchant.history.records import History, Segment
from penchant.index.chunk_list import ChunkList, in_parts
from penchant.index.table import Chunk, RecordKey, RecordKeys
from penchant.inference.sentence_encoder import Embedded

FloatArray = npt.NDArray[np.float32]
_NO_TEXT = -1.0  # the lowest cosine there is


@runtime_checkable
class Embed(Protocol):
    """Returns the embedding of each text, and how many tokens had to be run. fingerprint: identifies the encoder."""

    def fingerprint(self) -> str: ...

    def __call__(self, texts: Sequence[str]) -> tuple[Sequence[Embedded], int]: ...


@dataclass(frozen=True)
class SegmentVectors:
    """For each segment, in order: its vector, float32 [segments, width] of length 1, and its number of tokens,
    int32.
    """

    vectors: FloatArray
    tokens: npt.NDArray[np.int32]

    def scores(self, query: FloatArray) -> FloatArray:
        """Return the cosines with a vector of length 1, float32 [segments]; -1 for segments without tokens."""
        if not len(self.vectors):
            return np.zeros(0, dtype=np.float32)
        return np.where(self.tokens == 0, np.float32(_NO_TEXT), self.vectors @ query).astype(np.float32)


class VectorIndex:
    """The sentence vectors of one user's history for one encoder; in memory only when `directory` is None.

    A vector is identified by its record's id and text and the segment's offsets: other segments of a record are added
    to the stored ones. Thread-safe.
    """

    def __init__(self, embed: Embed, directory: Path | None = None) -> None:
        self._embed = embed
        identity = hashlib.sha256(f"sentence vectors|{embed.fingerprint()}".encode()).hexdigest()
        self._stored = ChunkList(directory, identity, "the index of sentence vectors")
        self._keys = RecordKeys()
        self._lock = threading.RLock()
        self._laid_out: tuple[History, Sequence[Segment], SegmentVectors] | None = None

    @property
    def nbytes(self) -> int:
        laid_out = self._laid_out
        return self._stored.nbytes + (laid_out[2].vectors.nbytes if laid_out else 0)

    def vectors(self, history: History, segments: Sequence[Segment]) -> tuple[SegmentVectors, int]:
        """Return the vectors of a history's segments, and how many tokens had to be run for them. Vectors of records
        that aren't in the history are dropped, on disk as well.
        """
        with self._lock:
            known = self._laid_out
            if known is not None and known[0] is history and known[1] is segments:
                return known[2], 0
            self._laid_out = None
            keys = self._keys.of(history)
            self._stored.keep(frozenset(keys))
            fed = self._add(keys, segments)
            found = self._lay_out(keys, segments)
            self._laid_out = history, segments, found
            return found, fed

    def missing(self, history: History, segments: Sequence[Segment]) -> Sequence[Segment]:
        """Return the segments of a history that have no vectors yet."""
        with self._lock:
            known = self._laid_out
            if known is not None and known[0] is history and known[1] is segments:
                return ()
            return self._new(self._keys.of(history), segments)

    def embed(self, history: History, segments: Sequence[Segment]) -> None:
        """Add the vectors of some segments of a history; nothing is dropped."""
        with self._lock:
            self._laid_out = None
            self._add(self._keys.of(history), segments)

    def _new(self, keys: Sequence[RecordKey], segments: Sequence[Segment]) -> list[Segment]:
        there = self._positions()
        return [one for one in segments if (keys[one.record], one.start, one.end) not in there]

    def _add(self, keys: Sequence[RecordKey], segments: Sequence[Segment]) -> int:
        new = self._new(keys, segments)
        by_record = [list(group) for _, group in groupby(new, key=lambda one: one.record)]
        fed = 0
        for part in in_parts(by_record):
            rows, run = self._embed([one.text for group in part for one in group])
            fed += run
            self._stored.append(
                Chunk(
                    torch.from_numpy(np.stack([row.vector for row in rows]))[None],
                    None,
                    np.array([(one.start, one.end) for group in part for one in group], dtype=np.int32),
                    tuple((keys[group[0].record], len(group)) for group in part),
                    np.array([row.tokens for row in rows], dtype=np.int32),
                )
            )
        return fed

    def _positions(self) -> dict[tuple[RecordKey, int, int], int]:
        """Return the row of each stored segment."""
        rows = (key for chunk in self._stored.chunks for key, count in chunk.records for _ in range(count))
        spans = (span for chunk in self._stored.chunks for span in chunk.spans.tolist())
        return {(key, start, end): row for row, (key, (start, end)) in enumerate(zip(rows, spans, strict=True))}

    def _lay_out(self, keys: Sequence[RecordKey], segments: Sequence[Segment]) -> SegmentVectors:
        if not len(segments):
            return SegmentVectors(np.zeros((0, 0), np.float32), np.zeros(0, np.int32))
        there = self._positions()
        at = np.array([there[keys[one.record], one.start, one.end] for one in segments], dtype=np.int64)
        chunks = self._stored.chunks
        vectors = np.concatenate([chunk.keys[0].numpy() for chunk in chunks])[at]
        tokens = np.concatenate([chunk.tokens for chunk in chunks if chunk.tokens is not None])[at]
        return SegmentVectors(vectors, tokens)
