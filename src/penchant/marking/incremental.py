"""A cache of results computed from segments, which are extended when the history grows at its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import RLock
from typing import Generic, TypeVar

from cachetools import LRUCache

from penchant.history.records import History, Segment
from penchant.index.pool import VIEW

T = TypeVar("T")
_HISTORIES = 8


class IncrementalCache(Generic[T]):
    """Caches an appendable result for each of the last histories, by user, or by the history object if it has no user.
    Unchanged segments are compared by identity, so that finding the new ones costs almost nothing. Thread-safe.
    """

    def __init__(self, make: Callable[[], T], add: Callable[[T, Sequence[Segment]], None]) -> None:
        self._make, self._add = make, add
        # Holds the history itself: the id of a deleted one could be reused.
        self._kept: LRUCache[str | int, tuple[History, tuple[Segment, ...], T]] = LRUCache(_HISTORIES)
        self._lock = RLock()

    def of(self, history: History, segments: Sequence[Segment]) -> T:
        """Return the result for exactly these segments; only new segments are added."""
        wanted, key = tuple(segments), history.user or id(history)
        with self._lock:
            # Removed while it is extended, so that one that fails half-way isn't used again.
            _, known, made = self._kept.pop(key, (history, (), None))
            if made is None or wanted[: len(known)] != known:
                known, made = (), self._make()
            if len(wanted) > len(known):
                self._add(made, wanted[len(known) :])
            self._kept[key] = history, wanted, made
            return made

    def close(self, who: str | History) -> None:
        """Drop the result of a user, with those of views, or of a history without one."""
        key = who if isinstance(who, str) else who.user or id(who)
        with self._lock:
            for one in [one for one in self._kept if one == key or str(one).startswith(f"{key}{VIEW}")]:
                del self._kept[one]
