"""A conversation's turns as a growing history: each turn is segmented once."""

from __future__ import annotations

from collections.abc import Sequence
from threading import RLock

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from penchant.conversation.context import Dialogue
from penchant.history.dialogue import Exchange, Turn
from penchant.history.records import History, Record, Segment
from penchant.history.segmentation import Unit, segment_record

CONVERSATIONS = 64
"""How many conversations are held in memory; the least recently used one is dropped first, and prepared again if
needed.
"""

IntArray = npt.NDArray[np.int64]


class Episodes:
    """The turns of one conversation's past exchanges, each a record, cut into segments.

    history, segments: of all turns, in time order.
    """

    def __init__(self, name: str, unit: Unit = "sentence") -> None:
        self.name, self.unit = name, unit
        self.lock = RLock()
        self._past: tuple[Exchange, ...] = ()
        self._records: list[Record] = []
        self._segments: list[Segment] = []
        self._starts: list[tuple[int, int]] = []  # of each exchange: its first record, its first segment
        self.history = History((), name)
        self.segments: Sequence[Segment] = ()

    def update(self, past: tuple[Exchange, ...]) -> None:
        """Update to exactly these exchanges. The beginning shared with the previous ones is kept."""
        known = self._past
        if past is known:
            return
        same = len(known) if past[: len(known)] == known else _common(past, known)
        if same < len(known):
            record, segment = self._starts[same]
            del self._records[record:], self._segments[segment:], self._starts[same:]
        for exchange in past[same:]:
            self._starts.append((len(self._records), len(self._segments)))
            for turn in turns(exchange):
                made = record_of(turn)
                self._segments += segment_record(made, len(self._records), self.unit)
                self._records.append(made)
        self._past = past
        self.history = History(self._records, self.name)
        self.segments = tuple(self._segments)

    @property
    def first_segments(self) -> IntArray:
        """Return the index of each exchange's first segment, int64 [exchanges]."""
        return np.fromiter((segment for _, segment in self._starts), np.int64, len(self._starts))

    def segments_of(self, position: int, answer: bool) -> range:
        """Return the indices of the segments of one side of the exchange at `position`."""
        record, start = self._starts[position]
        last = position + 1 == len(self._starts)
        end = len(self._segments) if last else self._starts[position + 1][1]
        middle = next((at for at in range(start, end) if self._segments[at].record > record), end)
        return range(middle, end) if answer else range(start, middle)


class EpisodeCache:
    """The episodes of many conversations, by `Dialogue.key`. Thread-safe."""

    def __init__(self, unit: Unit = "sentence") -> None:
        self._unit = unit
        self._open: LRUCache[str, Episodes] = LRUCache(CONVERSATIONS)
        self._lock = RLock()

    def of(self, dialogue: Dialogue) -> Episodes:
        """Return the episodes under the dialogue's key; without a key, new ones that aren't cached."""
        if not dialogue.key:
            return Episodes("", self._unit)
        with self._lock:
            return self._open.setdefault(dialogue.key, Episodes(dialogue.key, self._unit))

    def forget(self, key: str) -> None:
        with self._lock:
            self._open.pop(key, None)


def turns(exchange: Exchange) -> tuple[Turn, ...]:
    return (exchange.user,) if exchange.assistant is None else (exchange.user, exchange.assistant)


def sentences(turn: Turn) -> tuple[Segment, ...]:
    """Return the sentences of one turn, with offsets into its text."""
    return segment_record(record_of(turn), 0, "sentence")


def record_of(turn: Turn) -> Record:
    return Record(turn.text, id=f"{turn.number}", kind=turn.role)


def _common(one: tuple[Exchange, ...], other: tuple[Exchange, ...]) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
