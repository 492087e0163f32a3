"""Long work in the engine's thread, done a little at a time between the steps of answers."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field

SHARE, URGENT_SHARE = 0.25, 0.5
"""What sliced work takes of the engine's time while answers are being generated; the second if a request waits for
it.
"""


Key = tuple[str, str]
"""Whose work it is, and its name."""


@dataclass(eq=False)
class _Work:
    steps: Iterator[object]
    future: Future[None] = field(default_factory=Future)
    urgent: bool = False


class Slices:
    """Work that an iterator does: a step at a time, the urgent first. Not thread-safe, but `end` may be called from
    another thread while no step runs.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._works: OrderedDict[Key, _Work] = OrderedDict()
        self._clock, self._rested = clock, 0.0

    def __len__(self) -> int:
        return len(self._works)

    def add(self, key: Key, make: Callable[[], Iterator[object]], urgent: bool) -> Future[None]:
        """Add work, or join the one with the same key. The future is done when the work is."""
        work = self._works.get(key)
        if work is None:
            work = self._works[key] = _Work(make())
        work.urgent = work.urgent or urgent
        return work.future

    def end(self, owner: str | None = None) -> None:
        """Give all work of an owner up, or all of it; its future is cancelled."""
        for key in [key for key in self._works if owner in {None, key[0]}]:
            self._works.pop(key).future.cancel()

    def next(self, *, answering: bool, asked: bool) -> Key | None:
        """Return the key of the work to go on with now, if any. answering: whether answers are being generated; asked:
        whether requests wait for the engine, which only urgent work may delay.
        """
        key = next((key for key, work in self._works.items() if work.urgent), None)
        if key is None and not asked:
            key = next(iter(self._works), None)
        if key is None or (answering and self._clock() < self._rested):
            return None
        return key

    def step(self, key: Key) -> None:
        """Do one step of a work; one that fails ends with its error."""
        work, began = self._works[key], self._clock()
        try:
            next(work.steps)
        except StopIteration:
            self._finish(key).set_result(None)
        except BaseException as error:  # noqa: BLE001  # whoever waits gets it, whatever it is
            self._finish(key).set_exception(error)
        ended = self._clock()
        share = URGENT_SHARE if work.urgent else SHARE
        self._rested = ended + (ended - began) * (1 / share - 1)

    def _finish(self, key: Key) -> Future[None]:
        future = self._works.pop(key).future
        return future if future.set_running_or_notify_cancel() else Future()
