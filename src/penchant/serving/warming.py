"""Histories are read when records arrive, a little at a time, so that a first request finds them ready."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from functools import partial

from penchant.errors import InputError, PenchantError, UnknownUserError
from penchant.history.records import History
from penchant.personalizer import Personalizer
from penchant.serving.engine import BusyError, Engine, user_owner
from penchant.sharing import EVERYTHING, Sharing, Views

log = logging.getLogger(__name__)
SLICE = 0.1
"""Seconds that a slice may take."""
SMALL, LARGE = 128, 1024
"""Tokens of a slice: at least, and at most."""
UNREAD = 2_000
"""Characters of a history that a request reads by itself; if more are new, it waits for slices."""
LOOK = 2.0
"""Seconds between two looks at what other processes have added."""


class Warming:
    """Reads histories of stored users in the engine's thread. Used from one event loop."""

    def __init__(self, personalizer: Personalizer, engine: Engine) -> None:
        self._personalizer, self._engine = personalizer, engine
        assert personalizer.store is not None  # the service checks it
        self._store = personalizer.store
        self._views = Views()
        self._rate = SMALL / SLICE  # tokens a second

    def begin(self, user: str) -> None:
        """Read what is new of a user when there is time."""
        with suppress(BusyError):  # the server is shutting down
            self._slice(user, urgent=False)

    async def finish(self, user: str, sharing: Sharing = EVERYTHING) -> None:
        """Wait until what may leave of a history is read; answers go on meanwhile. Raises `BusyError` if that is given
        up.
        """
        future = self._slice(user, urgent=True, sharing=sharing)
        try:
            await asyncio.shield(asyncio.wrap_future(future))  # others may wait for the same
        except asyncio.CancelledError:
            if future.cancelled():
                raise BusyError(
                    "reading the history was given up: records were erased, or the server is shutting down; ask again"
                ) from None
            raise

    def history(self, user: str, sharing: Sharing = EVERYTHING) -> History:
        """Return what may leave of a user's history. Raises as `Personalizer.history`, also if that is nothing."""
        history = self._views.of(self._personalizer.history(user), sharing)
        if not len(history):
            raise InputError("none of the user's records may be sent there")
        return history

    def unread(self, history: History) -> bool:
        """Whether a request should wait for `finish` before it marks. In the engine's thread."""
        return self._personalizer.resources.unread(history, self._personalizer.segments(history)) > UNREAD

    async def follow(self) -> None:
        """Read what is added to the store by anybody, until it is cancelled; first, the users that were never read."""
        newest: int | None = None
        while True:
            try:
                if newest is None:
                    _, newest = await asyncio.to_thread(self._store.arrivals)
                    await self._begin_all()
                users, newest = await asyncio.to_thread(self._store.arrivals, newest)
                for user in users:
                    self.begin(user)
            except PenchantError as error:  # the store is locked, say: the next look may find more
                log.warning("new records can't be looked for: %s", error)
            await asyncio.sleep(LOOK)

    async def _begin_all(self) -> None:
        for entry in await asyncio.to_thread(lambda: list(self._store.all_users())):
            if not await asyncio.to_thread(self._store.index_dir(entry.user).exists):
                await asyncio.wait([asyncio.wrap_future(self._slice(entry.user, urgent=False))])

    def _slice(self, user: str, *, urgent: bool, sharing: Sharing = EVERYTHING) -> Future[None]:
        return self._engine.slice(user_owner(user), sharing.name, partial(self._read, user, sharing), urgent=urgent)

    def _read(self, user: str, sharing: Sharing) -> Iterator[None]:
        try:
            revision = None
            while revision != (revision := self._store.revision(user)):  # records may arrive meanwhile
                yield from self._slices(user, sharing)
        except (UnknownUserError, InputError):  # erased, or there is nothing to read yet
            return

    def _slices(self, user: str, sharing: Sharing) -> Iterator[None]:
        personalizer = self._personalizer
        history = self.history(user, sharing)
        yield
        segments = personalizer.segments(history)
        yield
        if personalizer.resources.history_tokens is not None:
            personalizer.resources.history_tokens(history)
        yield
        began = time.perf_counter()
        for tokens in personalizer.resources.slices(history, segments, self._size):
            if tokens >= SMALL // 2:
                self._rate += (tokens / (time.perf_counter() - began) - self._rate) / 4
            yield
            began = time.perf_counter()

    def _size(self) -> int:
        return max(SMALL, min(LARGE, int(self._rate * SLICE)))
