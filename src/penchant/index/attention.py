"""The attention index: a history's keys at the calibrated heads, kept equal to the history, matched with requests."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from penchant.history.records import History, Record, Segment
from penchant.index.encode import BLOCK, OVERLAP, Encoder
from penchant.index.files import CorruptIndexError, IndexFiles
from penchant.index.score import TOKENS_A_BLOCK, FloatArray, Layout, head_scores, lay_out, segment_log_mass
from penchant.index.table import (
    Chunk,
    RecordKey,
    Storage,
    blocks,
    keep_records,
    make_chunk,
    merge_chunks,
    record_key,
)
from penchant.models.tokenization import appends
from penchant.progress import Progress, no_progress

log = logging.getLogger(__name__)

#: Records encoded between two writes: what an interruption can cost.
RECORDS_A_CHUNK = 2048
#: More chunks than this that aren't full are merged into one, so that a thousand small appends don't slow a read down.
MAX_CHUNKS = 16


@dataclass(frozen=True)
class Change:
    """What `sync` did."""

    records_added: int
    records_dropped: int
    tokens_encoded: int


class AttentionIndex:
    """The index of one user's history for one model and calibration; in memory only when `directory` is None.

    An unreadable file on disk is rebuilt, and a disk that can't be written costs persistence, not the answer; both
    are logged as warnings. Safe to use from several threads at once.
    """

    def __init__(self, encoder: Encoder, directory: Path | None = None, storage: Storage = "native") -> None:
        self.encoder, self.storage = encoder, storage
        loaded = encoder.lens.loaded
        parts = [loaded.fingerprint, str(loaded.dtype), encoder.calibration.encoding_digest, storage]
        parts += [str(BLOCK), str(OVERLAP)]
        if appends(encoder.lens.loaded):  # before, records stood behind an end-of-text token
            parts.append("nothing behind the prefix")
        self.identity = hashlib.sha256("|".join(parts).encode()).hexdigest()
        self._files = IndexFiles(directory / self.identity[:16], self.identity) if directory is not None else None
        self._lock = threading.RLock()
        self._chunks: list[Chunk] = []  # replaced, never changed in place: a score may be reading it
        self._synced: History | None = None
        self._keys: tuple[tuple[Record, ...], tuple[RecordKey, ...]] = ((), ())
        self._layout: tuple[History, Sequence[Segment], Layout] | None = None
        if self._files is not None:
            try:
                self._chunks = self._files.load()
            except CorruptIndexError as error:
                log.warning("the attention index in %s can't be used: %s; rebuilding it", self._files.directory, error)

    @property
    def tokens(self) -> int:
        return sum(chunk.rows for chunk in self._chunks)

    @property
    def nbytes(self) -> int:
        """Bytes of keys, scales and offsets."""
        return sum(chunk.nbytes for chunk in self._chunks)

    def sync(self, history: History, progress: Progress = no_progress) -> Change:
        """Make the index hold exactly the records of `history`: encode what is new, drop what is gone or changed.

        Rows of the other records aren't touched. What is encoded is written every RECORDS_A_CHUNK records, so an
        interruption loses at most those.
        """
        with self._lock:
            if history is self._synced:  # a history doesn't change: no need to hash its records again
                return Change(0, 0, 0)
            self._synced = None
            change = self._sync(history, progress)
            self._synced = history
            return change

    def _sync(self, history: History, progress: Progress) -> Change:
        wanted = dict(zip(self._keys_of(history), history, strict=True))
        stored = {key for chunk in self._chunks for key, _ in chunk.records}
        gone = stored - wanted.keys()
        new = [key for key in wanted if key not in stored]
        if not gone and not new:
            return Change(0, 0, 0)
        self._layout = None
        if gone:
            kept = frozenset(stored - gone)
            pruned = [(chunk, keep_records(chunk, kept) if _touches(chunk, gone) else chunk) for chunk in self._chunks]
            self._chunks = [after for _, after in pruned if after is not None]
            self._save(dropped=True)
        encoded = 0
        for start in range(0, len(new), RECORDS_A_CHUNK):
            part = new[start : start + RECORDS_A_CHUNK]
            results = []
            for position, record in self.encoder.records([wanted[key].body for key in part]):
                results.append((part[position], record))
                progress("encoding records", start + len(results), len(new))
            chunk = make_chunk(results, self.storage)
            encoded += chunk.rows
            self._chunks = [*self._chunks, chunk]
            self._chunks = _merged(self._chunks)
            self._save()
        return Change(len(new), len(gone), encoded)

    def score(self, history: History, segments: Sequence[Segment], request: str) -> tuple[FloatArray, int]:
        """Scores of the segments for a request, float32 [segments], and how many tokens went through the model.

        Cost: the request's own tokens, and one read of the index; a `history` other than the one last synced is synced
        first.
        """
        queries = self.encoder.requests([request])[0]
        heads, synced = self._head_scores(history, segments, queries)
        scores = np.asarray(self.encoder.calibration.weights, dtype=np.float32) @ heads
        return scores, queries.shape[1] + synced

    def head_scores(self, history: History, segments: Sequence[Segment], request: str) -> FloatArray:
        """Standardised scores of every calibrated head on its own, float32 [heads, segments]."""
        return self._head_scores(history, segments, self.encoder.requests([request])[0])[0]

    def _head_scores(
        self, history: History, segments: Sequence[Segment], queries: Float[Tensor, "heads rows dim"]
    ) -> tuple[FloatArray, int]:
        if not len(segments):
            return np.zeros((queries.shape[0], 0), dtype=np.float32), 0
        neutral = self.encoder.neutral_query
        with self._lock:  # another thread may have synced another state of the history since
            encoded = 0 if self._synced is history else self.sync(history).tokens_encoded
            chunks, layout = self._chunks, self._lay_out(history, segments)
        log_mass = segment_log_mass(
            blocks(chunks, TOKENS_A_BLOCK),
            torch.cat([queries, neutral], dim=1),
            self.encoder.pair_of,
            layout,
            self.encoder.scaling,
        )
        return head_scores(log_mass, neutral.shape[1], self.encoder.calibration.baseline), encoded

    def _keys_of(self, history: History) -> tuple[RecordKey, ...]:
        """The keys of a history's records; of one that has grown at its end, only new records are hashed."""
        records, keys = self._keys
        if history.records is not records:
            same = len(records) if history.records[: len(records)] == records else 0
            keys = (*keys[:same], *(record_key(record) for record in history.records[same:]))
            self._keys = history.records, keys
        return keys

    def _lay_out(self, history: History, segments: Sequence[Segment]) -> Layout:
        cached = self._layout
        if cached is not None and cached[0] is history and cached[1] is segments:
            return cached[2]
        where: dict[tuple[str, str], tuple[int, int]] = {}
        first = 0
        for chunk in self._chunks:
            for key, rows in chunk.records:
                where[key] = (first, rows)
                first += rows
        at = np.array([where[key] for key in self._keys_of(history)], dtype=np.int64).reshape(-1, 2)
        spans = np.concatenate([chunk.spans for chunk in self._chunks]) if self._chunks else np.zeros((0, 2), np.int32)
        layout = lay_out(history, segments, at[:, 0], spans, at[:, 1])
        self._layout = (history, segments, layout)
        return layout

    def _save(self, dropped: bool = False) -> None:
        if self._files is None:
            return
        try:
            self._files.save(self._chunks)
        except OSError as error:
            log.warning("%s; going on in memory, the next run will encode again", error)
            if dropped:  # what was forgotten must not stay on disk because the rest couldn't be written
                self._forget_files(self._files)

    def _forget_files(self, files: IndexFiles) -> None:
        try:
            files.remove()
        except OSError as error:
            log.warning("%s still holds keys of records that are gone: %s; delete it", files.directory, error)


def _merged(chunks: list[Chunk]) -> list[Chunk]:
    # Full chunks stay as they are: copying a large index would need its size in memory once more.
    small = [chunk for chunk in chunks if len(chunk.records) < RECORDS_A_CHUNK]
    if len(small) <= MAX_CHUNKS:
        return chunks
    return [*(chunk for chunk in chunks if len(chunk.records) >= RECORDS_A_CHUNK), merge_chunks(small)]


def _touches(chunk: Chunk, keys: set[tuple[str, str]]) -> bool:
    return any(key in keys for key, _ in chunk.records)
