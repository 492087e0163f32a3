"""The histories that are in use, each with what is worked out for it once: its segments, and its size in tokens."""

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
from penchant.models.fingerprint import tokenizer_fingerprint
from penchant.models.loading import LoadedModel
from penchant.store import Store

#: Histories that are held at a time; the least recently used goes first.
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
    """A stored user's history is read again only when its revision in the store is another one, whoever changed it.

    unit: see `segment`. close: told of a user who isn't there any more, so that nothing of the user stays in memory.
    Safe for several threads.
    """

    def __init__(self, loaded: LoadedModel, store: Store | None, unit: Unit, close: Callable[[str], None]) -> None:
        self._store, self._unit, self._close = store, unit, close
        self._tokenizer = loaded.tokenizer
        self._count = history_counter(loaded.tokenizer)
        self._held: LRUCache[str | int, _Held] = LRUCache(_HELD)
        self._lock = RLock()

    def stored(self, store: Store, user: str) -> History:
        """A user's history as it is in the store now; an unchanged one is the object it was before. Raises
        `UnknownUserError`."""
        try:
            revision = store.revision(user)
            known = self._known(user)
            if known is not None and known.revision == revision:
                return known.history
            history = store.history(user)
        except UnknownUserError:  # forgotten, perhaps by another process
            with self._lock:
                self._held.pop(user, None)
            self._close(user)
            raise
        with self._lock:
            self._held[user] = _Held(history, revision)
        return history

    def segments(self, history: History) -> tuple[Segment, ...]:
        """The units of a history that are marked."""
        held = self._hold(history)
        if held.segments is None:
            held.segments = segment(history, self._unit)
        return held.segments

    def tokens(self, history: History) -> int:
        """The size of a history in the model's tokens (`history_counter`); a stored user's is kept in the store."""
        held = self._hold(history)
        if held.tokens is None:
            held.tokens = self._count(history) if held.revision is None else self._stored_count(held, held.revision)
        return held.tokens

    def _known(self, key: str | int) -> _Held | None:
        with self._lock:
            return self._held.get(key)

    def _hold(self, history: History) -> _Held:
        key = history.user or id(history)  # the history is held, so that no other one can have its id
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
            except StoreError as error:  # it can be read only, or is full: the request can be answered all the same
                log.warning("%s; the size of the history will be counted again", error)
        return tokens
