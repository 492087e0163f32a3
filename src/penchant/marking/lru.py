"""A thread-safe cache of recent results, so that a second request on the same history costs little."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from threading import Lock
from typing import Generic, TypeVar

from cachetools import LRUCache

V = TypeVar("V")


def digest(*parts: str) -> bytes:
    """Return a 16-byte digest of the parts, in order. Lengths are hashed too: ("ab", "c") and ("a", "bc") differ."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        state.update(len(raw).to_bytes(8, "little"))
        state.update(raw)
    return state.digest()


class LRU(Generic[V]):
    """Keeps the `limit` most recently used values, in memory only. Keys are digests, never text. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self._kept: LRUCache[bytes, V] = LRUCache(limit)
        self._lock = Lock()

    def get(self, key: bytes) -> V | None:
        with self._lock:
            return self._kept.get(key)

    def put(self, items: Iterable[tuple[bytes, V]]) -> None:
        with self._lock:
            self._kept.update(items)

    def __len__(self) -> int:
        return len(self._kept)
