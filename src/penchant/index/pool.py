"""Open indexes of many users, under one byte limit: the least recently used goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from penchant.history.records import History
from penchant.index.attention import AttentionIndex, Change
from penchant.index.encode import Encoder
from penchant.index.table import Storage
from penchant.progress import Progress, no_progress

DEFAULT_LIMIT = 2 << 30

Directory = Callable[[str], Path | None]
"""Where the index of a user lies on disk; None: in memory only."""


class IndexPool:
    """Gives the index of a history, synced with it.

    limit: bytes of all open indexes together; the one in use stays even if it alone is larger. An index that was
    closed is read again from its directory, or encoded again when it has none.
    """

    def __init__(
        self,
        encoder: Encoder,
        directory: Directory = lambda user: None,
        *,
        storage: Storage = "native",
        limit: int = DEFAULT_LIMIT,
        progress: Progress = no_progress,
    ) -> None:
        self.encoder, self.directory, self.storage, self.limit, self.progress = (
            encoder,
            directory,
            storage,
            limit,
            progress,
        )
        self._open: OrderedDict[str, AttentionIndex] = OrderedDict()
        self._lock = threading.RLock()

    def open(self, history: History) -> tuple[AttentionIndex, Change]:
        """The index of `history.user`, brought up to date with `history`. A history without a user is indexed anew
        unless it's the very one that was opened before."""
        with self._lock:
            key = f"user:{history.user}" if history.user else f"history:{id(history)}"
            index = self._open.pop(key, None)
            if index is None:
                where = self.directory(history.user) if history.user else None
                index = AttentionIndex(self.encoder, where, self.storage)
            self._open[key] = index
        change = index.sync(history, self.progress)  # outside of the lock: one user's new history delays nobody else
        with self._lock:
            while len(self._open) > 1 and self.nbytes > self.limit:
                self._open.popitem(last=False)
        return index, change

    def close(self, user: str) -> None:
        """Let go of a user's index in memory (the store erases the files)."""
        with self._lock:
            self._open.pop(f"user:{user}", None)

    @property
    def nbytes(self) -> int:
        """Bytes of all open indexes."""
        with self._lock:
            return sum(index.nbytes for index in self._open.values())
