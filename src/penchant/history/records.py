"""The main data types: what a user did (`Record`), in time order (`History`), in units to be marked (`Segment`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from numbers import Integral, Number, Real
from typing import Any

from penchant.errors import InputError

CHAT = "chat"
"""The kind of records that are turns of a conversation with an assistant."""


@dataclass(frozen=True, slots=True, init=False)
class Record:
    """One thing a user did.

    `text` is what happened (a review, a turn, an abstract); `reply` is what the user answered or wrote for it
    (a title, an answer); `label` a rating or class. `when` is a datetime, a date or an ISO 8601 text; it is normalised
    to UTC, and a naive time is taken as UTC. An empty `id` becomes a hash of the content, so importing the same file
    twice adds nothing.

    Raises `InputError` for a record with neither text nor reply, and for a value of another type.
    """

    text: str
    id: str = ""
    reply: str | None = None
    label: float | str | None = None
    when: datetime | None = None
    kind: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __init__(  # noqa: PLR0917  # the fields, in their order
        self,
        text: str,
        id: str = "",
        reply: str | None = None,
        label: float | str | None = None,
        when: datetime | date | str | None = None,
        kind: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        for name, value, optional in (("text", text, False), ("id", id, False), ("reply", reply, True)):
            _check_text(name, value, optional)
        _check_text("kind", kind, True)
        if not text.strip() and not (reply or "").strip():
            raise InputError(
                "a record has no text: expected a non-empty 'text' (or 'reply'); drop the record or fill it"
            )
        label = _number(label)
        if label is not None and (isinstance(label, bool) or not isinstance(label, int | float | str)):
            raise InputError(f"a record's label is {label!r:.60}: expected a number or a text")
        if meta is not None and not isinstance(meta, Mapping):
            raise InputError(f"a record's meta is {meta!r:.60}: expected names with their values, or None")
        values = (text, id, reply, label, _time(when), kind, {} if meta is None else meta)
        for name, given in zip(self.__slots__, values, strict=True):
            object.__setattr__(self, name, given)
        if not id:
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
        for name, value, optional in (("query", self.query, False), ("task", self.task, True)):
            if not (isinstance(value, str) or (optional and value is None)):
                raise InputError(f"a request's {name} is {value!r:.60}: expected a text")
        if not self.query.strip():
            raise InputError("the request is empty: expected some text; pass what should be answered")
        object.__setattr__(self, "now", _time(self.now, "now"))


class History:
    """One user's records in time order (stable: records without a time stay where they were).

    records: see `as_records`. A record without `when` inherits, for ordering only, the time of the record before it.
    Raises `InputError` for what can't be a record.
    """

    __slots__ = ("__weakref__", "records", "user")

    def __init__(self, records: Iterable[RecordLike], user: str = "") -> None:
        if not isinstance(user, str):
            raise InputError(f"a history's user is {user!r:.60}: expected a text")
        self.user = user
        keyed: list[tuple[datetime, Record]] = []
        last = datetime.min.replace(tzinfo=UTC)
        for record in as_records(records):
            last = record.when or last
            keyed.append((last, record))
        self.records: tuple[Record, ...] = tuple(r for _, r in sorted(keyed, key=lambda pair: pair[0]))

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __getitem__(self, position: int) -> Record:
        return self.records[position]


RecordLike = Record | str | Mapping[str, Any]
"""What can be a record: one, its text alone, or a row: names of fields with their values."""


def as_records(given: Iterable[RecordLike]) -> Iterator[Record]:
    """Yield records from whatever holds them: records, texts or rows (dictionaries) in any iterable, such as a list, a
    column of a table or a `datasets` data set; or a pandas or polars data frame. One record alone counts as a list of
    one.

    In a row, a missing value (None, NaN) counts as absent, and fields that a record doesn't have go into its `meta`.
    Raises `InputError` for what can't be a record, naming its number.
    """
    if isinstance(given, Record | str | Mapping):
        given = [given]
    elif hasattr(given, "to_dicts"):  # polars
        given = given.to_dicts()
    elif hasattr(given, "to_dict") and hasattr(given, "columns"):  # pandas
        given = given.to_dict("records")
    elif isinstance(given, bytes) or not isinstance(given, Iterable):
        raise InputError(f"{given!r:.60} are no records: expected records, texts or rows of a table")
    for number, one in enumerate(given, 1):
        yield one if isinstance(one, Record) else _record(one, number)


def _record(given: object, number: int) -> Record:
    try:
        if isinstance(given, str):
            return Record(given)
        if not isinstance(given, Mapping):
            raise InputError("expected a Record, a text or a dictionary")
        row = {str(name): value for name, value in given.items() if not _missing(value)}
        if isinstance(row.get("id"), Integral):
            row["id"] = str(row["id"])
        meta = row.pop("meta", {})
        rest = {name: _plain(row.pop(name)) for name in list(row) if name not in Record.__slots__}
        if not row.keys() & {"text", "reply"}:
            raise InputError(f"no 'text' in it, only {', '.join(map(repr, rest)) or 'nothing'}")
        return Record(**{"text": "", **row}, meta={**meta, **rest} if isinstance(meta, Mapping) else meta)
    except InputError as error:
        raise InputError(f"item {number} ({given!r:.60}) can't be a record: {error}") from None


def _check_text(name: str, value: object, optional: bool) -> None:
    if not isinstance(value, str) and not (optional and value is None):
        raise InputError(f"a record's {name} is {value!r:.60}: expected a text{' or None' if optional else ''}")


def _time(given: object, name: str = "when") -> datetime | None:
    when: Any = given
    if isinstance(when, str):
        try:
            when = datetime.fromisoformat(when.strip())
        except ValueError:
            raise InputError(f"{name}: {when[:40]!r} is no ISO 8601 time such as 2024-05-01T10:00:00Z") from None
    elif isinstance(when, date) and not isinstance(when, datetime):
        when = datetime(when.year, when.month, when.day)
    if when is None or _missing(when):
        return None
    if not isinstance(when, datetime):
        raise InputError(
            f"{name}: {when!r:.60} is no time: expected a datetime, or a text such as 2024-05-01T10:00:00Z"
        )
    if hasattr(when, "to_pydatetime"):  # pandas
        when = when.to_pydatetime(warn=False)
    try:
        utc: datetime = (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise InputError(f"{name}: outside of the years 1 to 9999 in UTC") from None
    return utc


def _missing(value: object) -> bool:
    """Whether a table means that there is no value: None, NaN, pandas' NaT and NA."""
    unequal = isinstance(value, Real | datetime) and value != value  # noqa: PLR0124
    return value is None or unequal or type(value).__name__ == "NAType"


def _number(value: Any) -> Any:
    """Return a number of NumPy's as Python's."""
    return value.item() if isinstance(value, Number) and hasattr(value, "item") else value


def _plain(value: Any) -> Any:
    """Return a cell as something that JSON can hold: text, if it is nothing else."""
    if isinstance(value, date):
        return value.isoformat()
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays
        return value.tolist()
    return value if isinstance(value, str | int | float | list | dict) else str(value)
