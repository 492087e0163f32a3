"""Off-the-record wishes in conversations that come from elsewhere: what they cover doesn't become a record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from penchant.conversation.retention.wishes import wish_in
from penchant.history.records import CHAT, Record


class WishesOfImports:
    """Leaves out what users said off the record. left_out: how many turns so far.

    "From now on" holds until it is taken back or the next conversation begins (meta["conversation"]). Of a request to
    forget something, only the rest of the turn is kept, without its answer; what it names may be in other turns, which
    stay.
    """

    def __init__(self) -> None:
        self.left_out = 0
        self._lasting: tuple[str, object] | None = None

    def kept(self, pairs: Iterable[tuple[str, Record]]) -> Iterator[tuple[str, Record]]:
        """Yield the pairs of users and records that may be kept, in order."""
        for user, record in pairs:
            if record.kind != CHAT:
                yield user, record
                continue
            made = self._kept(user, record)
            if made is None:
                self.left_out += 1
            else:
                yield user, made

    def _kept(self, user: str, record: Record) -> Record | None:
        wish, where = wish_in(record.text), (user, record.meta.get("conversation"))
        if wish is not None and wish.lasting is not None:
            self._lasting = where if wish.lasting else None
        if self._lasting == where or (wish is not None and wish.off_record):
            return None
        if wish is None:
            return record
        if not wish.rest:
            return None
        said = {key: value for key, value in record.meta.items() if key != "answer"}  # it may repeat what is to go
        return replace(record, text=wish.rest, meta=said)
