"""A pool of open indexes of many users, with a limit in bytes: the least recently used one is closed first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Generic, Protocol, TypeVar, runtime_checkable

from penchant.history.records import History, Segment
from penchant.index.attention import AttentionIndex, Change
from penchant.index.encode import EncodedRecord, Encoder
from penchant.index.table import RecordKey, Storage
from penchant.index.vectors import Embed, SegmentVectors, VectorIndex
from penchant.progress import Progress, no_progress

DEFAULT_LIMIT = 2 << 30
_VECTORS_LIMIT = 1 << 28
RECORDS_A_SLICE = 64
"""Records encoded in slices between two writes."""
SEGMENTS_A_WRITE = 512
_CHARACTERS = 4  # of a token, about
_FASTER = 3  # the sentence encoder than the model, about

VIEW = "\x1f"
"""Separates a user's id, which can't hold it, from the name of a view of the history (`penchant.sharing`)."""

Directory = Callable[[str], Path | None]
"""Returns the folder of a user's indexes; None: in memory only."""


@runtime_checkable
class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


Index = TypeVar("Index", bound=_Sized)


def in_memory(user: str) -> None:
    """A `Directory` for indexes in memory only."""


class _OpenIndexes(Generic[Index]):
    """The open indexes. limit: bytes of all together; the one in use stays open even if it alone is larger.
    Thread-safe.
    """

    def __init__(self, make: Callable[[Path | None], Index], directory: Directory, limit: int) -> None:
        self._make, self.directory, self.limit = make, directory, limit
        self._open: OrderedDict[str, Index] = OrderedDict()  # no cache with fixed sizes: they change
        self._lock = threading.RLock()

    def get(self, history: History) -> Index:
        """Return the index of `history.user`, opening it if necessary; if the history has no user, the index of that
        object.
        """
        with self._lock:
            key = _key(history)
            index = self._open.pop(key, None)
            if index is None:
                index = self._make(self.directory(history.user) if history.user else None)
            self._open[key] = index
            return index

    def close_old(self) -> None:
        """Keep to the limit."""
        with self._lock:
            while len(self._open) > 1 and self.nbytes > self.limit:
                self._open.popitem(last=False)

    def close(self, who: str | History) -> None:
        """Drop the index of a user, with those of views, or of a history without one, from memory (the store erases the
        files).
        """
        key = _key(who)
        with self._lock:
            for one in [one for one in self._open if one == key or one.startswith(f"{key}{VIEW}")]:
                del self._open[one]

    @property
    def nbytes(self) -> int:
        """Size of all open indexes in bytes."""
        with self._lock:
            return sum(index.nbytes for index in self._open.values())


def _key(who: str | History) -> str:
    user = who if isinstance(who, str) else who.user
    return f"user:{user}" if user else f"history:{id(who)}"


class IndexPool(_OpenIndexes[AttentionIndex]):
    """Gives the attention index of a history, synced with it.

    limit: bytes of all open indexes together; the one in use stays open even if it alone is larger. A closed index is
    read again from its directory, or encoded again if it has none.
    """

    def __init__(
        self,
        encoder: Encoder,
        directory: Directory = in_memory,
        *,
        storage: Storage = "native",
        limit: int = DEFAULT_LIMIT,
        progress: Progress = no_progress,
    ) -> None:
        super().__init__(lambda where: AttentionIndex(encoder, where, storage), directory, limit)
        self.encoder, self.storage, self.progress = encoder, storage, progress

    def open(self, history: History) -> tuple[AttentionIndex, Change]:
        """Return the index of `history.user`, synced with `history`. A history without a user is indexed anew unless it
        is the same object as before.
        """
        index = self.get(history)
        change = index.sync(history, self.progress)  # without the lock: a new history delays nobody else
        self.close_old()
        return index, change

    def slices(self, history: History, size: Callable[[], int]) -> Iterator[int]:
        """Encode what the index of a history lacks, in forward passes of about `size()` tokens, and yield the tokens of
        each: between two of them other work may be done. What was encoded is kept every `RECORDS_A_SLICE` records, and
        at the end the index is synced; stopping in between loses no more than those.
        """
        index = self.get(history)
        missing = index.missing(history)
        for at in range(0, len(missing), RECORDS_A_SLICE):
            part, identity = missing[at : at + RECORDS_A_SLICE], index.identity
            encoded: list[tuple[RecordKey, EncodedRecord]] = []
            for done in self.encoder.passes([record.body for _, record in part], size()):
                encoded += [(part[position][0], record) for position, record in done.records]
                yield done.tokens
            index = self.get(history)  # it may have been closed meanwhile
            if index.identity != identity:  # so may the adapters have changed: what was encoded is of no use
                return
            index.add(encoded)
            self.close_old()
        self.open(history)


class VectorPool(_OpenIndexes[VectorIndex]):
    """Gives the sentence vectors of a history's segments; see `IndexPool` for `directory` and `limit`."""

    def __init__(self, embed: Embed, directory: Directory = in_memory, *, limit: int = _VECTORS_LIMIT) -> None:
        super().__init__(lambda where: VectorIndex(embed, where), directory, limit)
        self._embed = embed

    def slices(self, history: History, segments: Sequence[Segment], size: Callable[[], int]) -> Iterator[int]:
        """Do what the first `vectors` does a few segments at a time, of about `size()` tokens, and yield after each."""
        missing = self.get(history).missing(history, segments)
        ready: list[Segment] = []
        while missing:
            some = _first(missing, size() * _CHARACTERS * _FASTER)
            missing = missing[len(some) :]
            self._embed([one.text for one in some])  # it holds the vectors, until they are written below
            ready += some
            yield 0
            if not missing or len(ready) >= SEGMENTS_A_WRITE:
                self.get(history).embed(history, ready)
                ready = []
        self.vectors(history, segments)

    def vectors(self, history: History, segments: Sequence[Segment]) -> tuple[SegmentVectors, int]:
        """Return the vectors, and how many tokens had to be run for them."""
        found = self.get(history).vectors(history, segments)
        self.close_old()
        return found


def _first(segments: Sequence[Segment], characters: int) -> Sequence[Segment]:
    """Return the first segments, as many as have about so many characters together; at least one."""
    ends = accumulate(len(one.text) for one in segments)
    return segments[: next((at for at, end in enumerate(ends, 1) if end >= characters), len(segments))]
