"""The chunks of an index, in memory and on disk: appended, pruned and merged."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from penchant.index.files import CorruptIndexError, IndexFiles
from penchant.index.table import Chunk, RecordKey, keep_records, merge_chunks

T = TypeVar("T")
log = logging.getLogger(__name__)

#: Records encoded between two writes: an interruption loses at most these.
RECORDS_A_CHUNK = 2048
#: If more chunks than this aren't full, they are merged, so that a thousand small appends don't slow down reads.
MAX_CHUNKS = 16


class ChunkList:
    """The chunks of one index; in memory only when `directory` is None.

    identity: identifies how the rows were made; a different one is a different index. what: its name in messages ("the
    attention index"). An unreadable file on disk is ignored; if the disk can't be written, rows stay in memory. Both
    are logged as warnings. Not thread-safe: the owner locks.
    """

    def __init__(self, directory: Path | None, identity: str, what: str) -> None:
        self._what = what
        self.chunks: list[Chunk] = []  # replaced, never changed in place: another thread may be scoring with it
        self.directory = directory / identity[:16] if directory is not None else None
        self._files = IndexFiles(self.directory, identity) if self.directory is not None else None
        if self._files is not None:
            try:
                self.chunks = self._files.load()
            except CorruptIndexError as error:
                log.warning("%s in %s can't be used: %s; rebuilding it", what, self._files.directory, error)

    @property
    def rows(self) -> int:
        return sum(chunk.rows for chunk in self.chunks)

    @property
    def nbytes(self) -> int:
        """Size of all rows in bytes."""
        return sum(chunk.nbytes for chunk in self.chunks)

    def records(self) -> set[RecordKey]:
        return {key for chunk in self.chunks for key, _ in chunk.records}

    def append(self, chunk: Chunk) -> None:
        """Append rows, on disk when this returns."""
        self.chunks = _merged([*self.chunks, chunk])
        self._save()

    def keep(self, wanted: Collection[RecordKey]) -> int:
        """Drop the rows of all other records, in memory and on disk. Returns how many records were dropped."""
        stored = self.records()
        kept = frozenset(key for key in stored if key in wanted)
        if len(kept) < len(stored):
            pruned = (keep_records(chunk, kept) if _holds_others(chunk, kept) else chunk for chunk in self.chunks)
            self.chunks = [chunk for chunk in pruned if chunk is not None]
            self._save(dropped=True)
        return len(stored) - len(kept)

    def _save(self, dropped: bool = False) -> None:
        if self._files is None:
            return
        try:
            self._files.save(self.chunks)
        except OSError as error:
            log.warning("%s: %s; continuing in memory, the next run will encode again", self._what, error)
            if dropped:  # forgotten rows must not stay on disk because the others couldn't be written
                self._remove(self._files)

    def _remove(self, files: IndexFiles) -> None:
        try:
            files.remove()
        except OSError as error:
            log.warning("%s still holds rows of records that are gone: %s; delete it", files.directory, error)


def in_parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Split into groups that are encoded between two writes."""
    for start in range(0, len(items), RECORDS_A_CHUNK):
        yield items[start : start + RECORDS_A_CHUNK]


def _merged(chunks: list[Chunk]) -> list[Chunk]:
    # Full chunks aren't merged: copying a large index would double its memory.
    small = [chunk for chunk in chunks if len(chunk.records) < RECORDS_A_CHUNK]
    if len(small) <= MAX_CHUNKS:
        return chunks
    return [*(chunk for chunk in chunks if len(chunk.records) >= RECORDS_A_CHUNK), merge_chunks(small)]


def _holds_others(chunk: Chunk, kept: Collection[RecordKey]) -> bool:
    return any(key not in kept for key, _ in chunk.records)
