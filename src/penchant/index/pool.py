"""Open indexes of many users, under a limit of bytes: the least recently used is closed first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar, runtime_checkable

from penchant.history.records import History, Segment
from penchant.index.attention import AttentionIndex, Change
from penchant.index.encode import Encoder
from penchant.index.table import Storage
from penchant.index.vectors import Embed, SegmentVectors, VectorIndex
from penchant.progress import Progress, no_progress

DEFAULT_LIMIT = 2 << 30
_VECTORS_LIMIT = 1 << 28

Directory = Callable[[str], Path | None]
"""Where the indexes of a user lie on disk; None: in memory only."""


@runtime_checkable
class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


Index = TypeVar("Index", bound=_Sized)


def in_memory(user: str) -> None:
    """The `Directory` that is none."""


class _OpenIndexes(Generic[Index]):
    """limit: bytes of all together; the one in use stays even if it alone is larger. Safe for several threads."""

    def __init__(self, make: Callable[[Path | None], Index], directory: Directory, limit: int) -> None:
        self._make, self.directory, self.limit = make, directory, limit
        self._open: OrderedDict[str, Index] = OrderedDict()  # the sizes change: no cache with fixed ones can be used
        self._lock = threading.RLock()

    def get(self, history: History) -> Index:
        """The index of `history.user`, opened where it isn't; that of the very history where it has no user."""
        with self._lock:
            key = f"user:{history.user}" if history.user else f"history:{id(history)}"
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

    def close(self, user: str) -> None:
        """Let go of a user's index in memory (the store erases the files)."""
        with self._lock:
            self._open.pop(f"user:{user}", None)

    @property
    def nbytes(self) -> int:
        """Bytes of all open indexes."""
        with self._lock:
            return sum(index.nbytes for index in self._open.values())


class IndexPool(_OpenIndexes[AttentionIndex]):
    """Gives the attention index of a history, synced with it.

    limit: bytes of all open indexes together; the one in use stays even if it alone is larger. An index that was
    closed is read again from its directory, or encoded again when it has none.
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
        """The index of `history.user`, brought up to date with `history`. A history without a user is indexed anew
        unless it's the very one that was opened before."""
        index = self.get(history)
        change = index.sync(history, self.progress)  # outside of the lock: one user's new history delays nobody else
        self.close_old()
        return index, change


class VectorPool(_OpenIndexes[VectorIndex]):
    """Gives the sentence vectors of a history's segments; see `IndexPool` for `directory` and `limit`."""

    def __init__(self, embed: Embed, directory: Directory = in_memory, *, limit: int = _VECTORS_LIMIT) -> None:
        super().__init__(lambda where: VectorIndex(embed, where), directory, limit)

    def vectors(self, history: History, segments: Sequence[Segment]) -> tuple[SegmentVectors, int]:
        """The vectors, and how many tokens had to be run for them."""
        found = self.get(history).vectors(history, segments)
        self.close_old()
        return found
