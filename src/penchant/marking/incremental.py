"""What was made of a history's segments, kept while the history grows at its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import RLock
from typing import Generic, TypeVar

from cachetools import LRUCache

from penchant.history.records import History, Segment

T = TypeVar("T")
_HISTORIES = 8


class IncrementalCache(Generic[T]):
    """Keeps something that can be added to for each of the last histories: by their user, or the very history where it
    has none. Segments that stay the same objects are compared by identity, so that finding out what is new costs next
    to nothing. Safe for several threads."""

    def __init__(self, make: Callable[[], T], add: Callable[[T, Sequence[Segment]], None]) -> None:
        self._make, self._add = make, add
        # With the history itself: the id of one that is gone would be given to another.
        self._kept: LRUCache[str | int, tuple[History, tuple[Segment, ...], T]] = LRUCache(_HISTORIES)
        self._lock = RLock()

    def of(self, history: History, segments: Sequence[Segment]) -> T:
        """What is made of exactly these segments; what it has of them already isn't added again."""
        wanted, key = tuple(segments), history.user or id(history)
        with self._lock:
            # Taken out while it is added to: one that fails half-way isn't used again.
            _, known, made = self._kept.pop(key, (history, (), None))
            if made is None or wanted[: len(known)] != known:
                known, made = (), self._make()
            if len(wanted) > len(known):
                self._add(made, wanted[len(known) :])
            self._kept[key] = history, wanted, made
            return made

    def close(self, user: str) -> None:
        with self._lock:
            self._kept.pop(user, None)
