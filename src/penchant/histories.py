"""The histories in use, each with its segments and its size in tokens, which are computed once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from threading import RLock

from cachetools import LRUCache

from penchant.compression.budget import history_counter
from penchant.errors import StoreError, UnknownUserError
from penchant.history.records import History, Segment
from penchant.history.segmentation import Unit, segment
from penchant.index.pool import VIEW
from penchant.models.fingerprint import tokenizer_fingerprint
from penchant.models.loading import LoadedModel
from penchant.store import Store

#: How many histories are held at a time; the least recently used one is dropped first.
_HELD = 64
log = logging.getLogger(__name__)


@dataclass
class _Held:
    """revision: of a stored user's records, read before they were; None: of a history that was passed in."""

    history: History
    revision: int | None
    segments: tuple[Segment, ...] | None = None
    tokens: int | None = None


class Histories:
    """Histories in memory. A stored user's history is read again only when its revision in the store has changed, by
    any process.

    unit: see `segment`. close: called with a user who no longer exists, so that nothing of the user stays in memory.
    Thread-safe.
    """

    def __init__(self, loaded: LoadedModel, store: Store | None, unit: Unit, close: Callable[[str], None]) -> None:
        self._store, self._unit, self._close = store, unit, close
        self._tokenizer = loaded.tokenizer
        self._count = history_counter(loaded.tokenizer)
        self._held: LRUCache[str | int, _Held] = LRUCache(_HELD)
        self._lock = RLock()

    def stored(self, store: Store, user: str) -> History:
        """Return a user's history as it is in the store now; while it is unchanged, the same object is returned. Raises
        `UnknownUserError`.
        """
        try:
            revision = store.revision(user)
            known = self._known(user)
            if known is not None and known.revision == revision:
                return known.history
            history = store.history(user)
        except UnknownUserError:  # forgotten, perhaps by another process
            self.release(user)
            self._close(user)
            raise
        with self._lock:
            self._held[user] = _Held(history, revision)
        return history

    def segments(self, history: History) -> tuple[Segment, ...]:
        """Return the segments of a history."""
        held = self._hold(history)
        if held.segments is None:
            held.segments = segment(history, self._unit)
        return held.segments

    def tokens(self, history: History) -> int:
        """Return the size of a history in the model's tokens (`history_counter`); that of a stored user is kept in the
        store.
        """
        held = self._hold(history)
        if held.tokens is None:
            held.tokens = self._count(history) if held.revision is None else self._stored_count(held, held.revision)
        return held.tokens

    def release(self, who: str | History) -> None:
        """Drop a user's history, with its views, or one without a user, from memory."""
        key = who if isinstance(who, str) else who.user or id(who)
        with self._lock:
            for one in [one for one in self._held if one == key or str(one).startswith(f"{key}{VIEW}")]:
                del self._held[one]

    def _known(self, key: str | int) -> _Held | None:
        with self._lock:
            return self._held.get(key)

    def _hold(self, history: History) -> _Held:
        key = history.user or id(history)  # the history is held, so that no other object can get its id
        with self._lock:
            held = self._held.get(key)
            if held is None or held.history is not history:
                held = self._held[key] = _Held(history, None)
            return held

    def _stored_count(self, held: _Held, revision: int) -> int:
        assert self._store is not None  # or there was no revision
        user, tokenizer = held.history.user, tokenizer_fingerprint(self._tokenizer)
        tokens = self._store.token_count(user, revision, tokenizer)
        if tokens is None:
            tokens = self._count(held.history)
            try:
                self._store.keep_token_count(user, revision, tokenizer, tokens)
            except StoreError as error:  # the store is read-only or full: the request can be answered all the same
                log.warning("%s; the size of the history will be counted again", error)
        return tokens
