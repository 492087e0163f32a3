"""Keeps the caches of prompts that were read, so that a prompt with the same beginning is read from there on only."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from penchant.inference.cached_rows import CachedRows
from penchant.inference.kv_cache import cache_bytes
from penchant.inference.recurrence import has_states, recurrence
from penchant.models.loading import LoadedModel

LIMIT = 1 << 29
"""Bytes of all caches together."""
SHORTEST = 16
"""Shorter beginnings, in tokens, aren't worth a copy."""


@dataclass(frozen=True, eq=False)
class _Kept:
    owner: str
    ids: torch.Tensor
    rows: CachedRows
    size: int


class PrefixCache:
    """Caches of one model, each with an owner, the least recently used one dropped first. What one owner's prompts left
    is never used for another's, so that nobody can learn from the time of an answer what somebody else wrote.

    limit: bytes of all together (0: nothing is kept). Not thread-safe.
    """

    def __init__(self, loaded: LoadedModel, limit: int = LIMIT) -> None:
        able = recurrence(loaded)
        goes_on = able is None or (able.chunk and able.cache)  # the rest of a prompt can be read behind a cache
        self.limit = limit if goes_on else 0
        self._whole = has_states(loaded)  # states can't be cut: only a whole text is the beginning of another
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        self._next = 0

    @property
    def nbytes(self) -> int:
        """Size of all kept caches in bytes."""
        return sum(one.size for one in self._kept.values())

    def find(self, owner: str, ids: Sequence[int]) -> CachedRows | None:
        """Copy the cache of the longest kept beginning of a prompt (of fewer tokens than it has); None: there is none
        of `SHORTEST` tokens.
        """
        wanted = torch.tensor(ids[:-1])
        best, length = None, SHORTEST - 1
        for key, one in self._kept.items():
            if one.owner == owner and (common := _common(one.ids, wanted)) > length:
                if self._whole and common < len(one.ids):
                    continue
                best, length = key, common
        if best is None:
            return None
        self._kept.move_to_end(best)
        return self._kept[best].rows.first(length)

    def keep(self, owner: str, rows: CachedRows) -> None:
        """Keep a cache of one row without padding; it must not be read on. Caches of the same owner that are beginnings
        of it are dropped.
        """
        ids, size = rows.read_so_far.ids[0], cache_bytes(rows.cache)
        if size > self.limit or len(ids) < SHORTEST:
            return
        for key in [key for key, one in self._kept.items() if one.owner == owner and _begins(one.ids, ids)]:
            del self._kept[key]
        self._kept[self._next] = _Kept(owner, ids, rows, size)
        self._next += 1
        while self.nbytes > self.limit:
            self._kept.popitem(last=False)

    def forget(self, owner: str) -> None:
        """Drop everything of an owner."""
        for key in [key for key, one in self._kept.items() if one.owner == owner]:
            del self._kept[key]


def _common(first: torch.Tensor, second: torch.Tensor) -> int:
    """Return how many tokens two texts begin with alike."""
    width = min(len(first), len(second))
    different = (first[:width] != second[:width]).nonzero()
    return int(different[0]) if len(different) else width


def _begins(first: torch.Tensor, second: torch.Tensor) -> bool:
    return len(first) <= len(second) and _common(first, second) == len(first)
