"""The main data types: what a user did (`Record`), in time order (`History`), in units to be marked (`Segment`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from penchant.errors import InputError


@dataclass(frozen=True, slots=True)
class Record:
    """One thing a user did.

    `text` is what happened (a review, a turn, an abstract); `reply` is what the user answered or wrote for it
    (a title, an answer); `label` a rating or class. `when` is normalised to UTC; a naive time is taken as UTC.
    An empty `id` becomes a hash of the content, so importing the same file twice adds nothing.

    Raises `InputError` for a record with neither text nor reply.
    """

    text: str
    id: str = ""
    reply: str | None = None
    label: float | str | None = None
    when: datetime | None = None
    kind: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.text.strip() and not (self.reply or "").strip():
            raise InputError(
                "a record has no text: expected a non-empty 'text' (or 'reply'); drop the record or fill it"
            )
        if self.when is not None:
            object.__setattr__(self, "when", _in_utc(self.when))
        if not self.id:
            object.__setattr__(self, "id", self.content_hash()[:16])

    @property
    def body(self) -> str:
        """The text to be encoded, segmented and quoted: `text`, then `reply` on its own line. Segment offsets are
        character offsets into it.
        """
        if not self.reply:
            return self.text
        return f"{self.text}\n{self.reply}" if self.text else self.reply

    def content_hash(self) -> str:
        """SHA-256 (hex) of everything but the id."""
        when = self.when.isoformat() if self.when else None
        parts = [self.text, self.reply, self.label, when, self.kind, dict(self.meta)]
        return hashlib.sha256(
            json.dumps(parts, sort_keys=True, default=str).encode("utf-8", "surrogatepass")
        ).hexdigest()


@dataclass(frozen=True, slots=True)
class Segment:
    """The unit that is marked: characters `start` to `end` of `history[record].body`.

    `record` is the position of the record in its history; `record_id` its id.
    """

    record: int
    record_id: str
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `task` optionally says what kind of answer is wanted ("Write a title."). `now` is when it is
    asked, as `Record.when` (None: by the clock); "last week" depends on it.
    """

    query: str
    task: str | None = None
    now: datetime | None = None

    def __post_init__(self) -> None:
        if not self.query.strip():
            raise InputError("the request is empty: expected some text; pass what should be answered")
        if self.now is not None:
            object.__setattr__(self, "now", _in_utc(self.now))


def _in_utc(when: datetime) -> datetime:
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)


class History:
    """One user's records in time order (stable: records without a time stay where they were).

    A record without `when` inherits, for ordering only, the time of the record before it.
    """

    __slots__ = ("__weakref__", "records", "user")

    def __init__(self, records: Iterable[Record], user: str = "") -> None:
        self.user = user
        keyed: list[tuple[datetime, Record]] = []
        last = datetime.min.replace(tzinfo=UTC)
        for record in records:
            last = record.when or last
            keyed.append((last, record))
        self.records: tuple[Record, ...] = tuple(r for _, r in sorted(keyed, key=lambda pair: pair[0]))

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __getitem__(self, position: int) -> Record:
        return self.records[position]
