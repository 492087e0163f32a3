"""The attention index: a history's keys at the calibrated heads, kept in sync with the history and matched with
requests.
"""

from __future__ import annotations

import hashlib
import json
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
from penchant.index.chunk_list import ChunkList, in_parts
from penchant.index.encode import BLOCK, OVERLAP, EncodedRecord, Encoder
from penchant.index.score import TOKENS_A_BLOCK, FloatArray, Layout, head_scores, lay_out, segment_log_mass
from penchant.index.table import Chunk, RecordKey, RecordKeys, Storage, blocks, make_chunk
from penchant.models.tokenization import appends
from penchant.progress import Progress, no_progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Change:
    """What `sync` did."""

    records_added: int
    records_dropped: int
    tokens_encoded: int


class AttentionIndex:
    """The index of one user's history for one model and calibration; in memory only when `directory` is None.

    An unreadable file on disk is rebuilt; if the disk can't be written, the index stays in memory. Both are logged as
    warnings. So is a change of the model's adapters: keys made with others aren't read, and the index continues with
    those made with the present ones. Thread-safe.
    """

    def __init__(self, encoder: Encoder, directory: Path | None = None, storage: Storage = "native") -> None:
        self.encoder, self.storage = encoder, storage
        self._directory = directory
        self._lock = threading.RLock()
        self._keys = RecordKeys()
        self._open(self._identity())

    def _identity(self) -> str:
        loaded = self.encoder.lens.loaded
        parts = [loaded.fingerprint, str(loaded.dtype), self.encoder.calibration.encoding_digest, self.storage]
        parts += [str(BLOCK), str(OVERLAP)]
        if appends(loaded):  # in earlier versions records followed an end-of-text token
            parts.append("nothing behind the prefix")
        return hashlib.sha256("|".join(parts).encode()).hexdigest()

    def _neutral_identity(self, identity: str) -> str:
        calibration = self.encoder.calibration
        read = json.dumps([calibration.heads, calibration.neutral], ensure_ascii=False)
        return hashlib.sha256(f"neutral query|{identity}|{read}".encode()).hexdigest()

    def _open(self, identity: str) -> None:
        self.identity = identity
        self._stored = ChunkList(self._directory, identity, "the attention index")
        beside = self._stored.directory
        self._neutral = ChunkList(beside, self._neutral_identity(identity), "the neutral query")
        self._synced: History | None = None
        self._layout: tuple[History, Sequence[Segment], Layout] | None = None

    def _follow_model(self) -> None:
        if (identity := self._identity()) != self.identity:
            log.warning(
                "the adapters of %s have changed: keys that were made with others aren't read, records without keys "
                "are encoded again",
                self.encoder.lens.loaded.name,
            )
            self._open(identity)

    @property
    def tokens(self) -> int:
        return self._stored.rows

    @property
    def nbytes(self) -> int:
        """Size of keys, scales and offsets in bytes."""
        return self._stored.nbytes

    def sync(self, history: History, progress: Progress = no_progress) -> Change:
        """Make the index hold exactly the records of `history`: encode new records, drop removed or changed ones.

        Rows of other records aren't touched. Rows are written to disk every `RECORDS_A_CHUNK` records, so an
        interruption loses at most those.
        """
        with self._lock:
            self._follow_model()
            if history is self._synced:  # a history doesn't change: no need to hash its records again
                return Change(0, 0, 0)
            self._synced = None
            change = self._sync(history, progress)
            self._synced = history
            return change

    def _sync(self, history: History, progress: Progress) -> Change:
        wanted = dict(zip(self._keys.of(history), history, strict=True))
        gone = self._stored.keep(wanted.keys())
        stored = self._stored.records()
        new = [key for key in wanted if key not in stored]
        if not gone and not new:
            return Change(0, 0, 0)
        self._layout = None
        encoded = done = 0
        for part in in_parts(new):
            results = []
            for position, record in self.encoder.records([wanted[key].body for key in part]):
                results.append((part[position], record))
                progress("encoding records", done + len(results), len(new))
            chunk = make_chunk(results, self.storage)
            encoded, done = encoded + chunk.rows, done + len(part)
            self._stored.append(chunk)
        return Change(len(new), gone, encoded)

    def missing(self, history: History) -> list[tuple[RecordKey, Record]]:
        """Return the records of a history that aren't encoded yet, with their keys."""
        with self._lock:
            self._follow_model()
            if history is self._synced:
                return []
            stored = self._stored.records()
            return [pair for pair in zip(self._keys.of(history), history, strict=True) if pair[0] not in stored]

    def add(self, encoded: Sequence[tuple[RecordKey, EncodedRecord]]) -> None:
        """Add records that were encoded elsewhere (`IndexPool.slices`), unless they are here by now."""
        with self._lock:
            stored = self._stored.records()
            if new := [one for one in encoded if one[0] not in stored]:
                self._synced = self._layout = None
                self._stored.append(make_chunk(new, self.storage))

    def score(self, history: History, segments: Sequence[Segment], request: str) -> tuple[FloatArray, int]:
        """Score the segments for a request: float32 [segments], and how many tokens went through the model.

        Cost: the request's own tokens, and one read of the index; a `history` other than the one last synced is synced
        first.
        """
        queries = self.encoder.requests([request])[0]
        heads, synced = self._head_scores(history, segments, queries)
        scores = np.asarray(self.encoder.calibration.weights, dtype=np.float32) @ heads
        return scores, queries.shape[1] + synced

    def head_scores(self, history: History, segments: Sequence[Segment], request: str) -> FloatArray:
        """Return standardised scores of every calibrated head alone, float32 [heads, segments]."""
        return self._head_scores(history, segments, self.encoder.requests([request])[0])[0]

    def _head_scores(
        self, history: History, segments: Sequence[Segment], queries: Float[Tensor, "heads rows dim"]
    ) -> tuple[FloatArray, int]:
        if not len(segments):
            return np.zeros((queries.shape[0], 0), dtype=np.float32), 0
        with self._lock:  # another thread may have synced another state of the history meanwhile
            self._follow_model()
            neutral = self._neutral_query()
            encoded = 0 if self._synced is history else self.sync(history).tokens_encoded
            chunks, layout = self._stored.chunks, self._lay_out(history, segments)
        log_mass = segment_log_mass(
            blocks(chunks, TOKENS_A_BLOCK),
            torch.cat([queries, neutral], dim=1),
            self.encoder.pair_of,
            layout,
            self.encoder.scaling,
        )
        return head_scores(log_mass, neutral.shape[1], self.encoder.calibration.baseline), encoded

    def _neutral_query(self) -> Float[Tensor, "heads 1 dim"]:
        """Return `Encoder.neutral_query`, kept beside the keys so that no other process runs the model for it."""
        if not self._neutral.chunks:
            query = self.encoder.neutral_query
            self._neutral.append(Chunk(query, None, np.zeros((1, 2), np.int32), ((("neutral", ""), 1),)))
        return self._neutral.chunks[0].keys

    def _lay_out(self, history: History, segments: Sequence[Segment]) -> Layout:
        cached = self._layout
        if cached is not None and cached[0] is history and cached[1] is segments:
            return cached[2]
        where: dict[tuple[str, str], tuple[int, int]] = {}
        first = 0
        chunks = self._stored.chunks
        for chunk in chunks:
            for key, rows in chunk.records:
                where[key] = (first, rows)
                first += rows
        at = np.array([where[key] for key in self._keys.of(history)], dtype=np.int64).reshape(-1, 2)
        spans = np.concatenate([chunk.spans for chunk in chunks]) if chunks else np.zeros((0, 2), np.int32)
        layout = lay_out(history, segments, at[:, 0], spans, at[:, 1])
        self._layout = (history, segments, layout)
        return layout
