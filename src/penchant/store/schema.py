"""The tables, and conversions of records, turns and instructions to rows and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, overload

import sqlalchemy as sa
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    false,
)

from penchant.errors import InputError
from penchant.history.dialogue import Instruction, Turn
from penchant.history.records import Record
from penchant.store.columns import row_key, text

SCHEMA = "0007"
"""The newest migration; a test compares it with the scripts in store/migrations/versions."""

LONGEST = 1_000
"""Longest id, in characters."""

LAST_TURN = 1 << 31
"""Turns have lower numbers: the range of an Integer."""

_Key = row_key()
_Text = text()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

metadata = MetaData()

alembic_version = Table(
    "alembic_version",
    MetaData(),  # Alembic's own: it is no part of the schema that migrations are compared with
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)

users = Table(
    "users",
    metadata,
    Column("key", _Key, primary_key=True),
    Column("id", text(collation="C"), nullable=False, unique=True),
    # A new number after each change of the user's records. It starts at a random value, so that a user who was erased
    # and added again never has an earlier revision.
    Column("revision", BigInteger, nullable=False, server_default="0"),
    Column("data_key", _Text),  # in an encrypted store: the name of the user's key in the key store
)

records = Table(
    "records",
    metadata,
    # Also the order in which records arrived, which orders records without a time.
    Column("key", _Key, primary_key=True),
    Column("user", _Key, ForeignKey("users.key", ondelete="CASCADE"), nullable=False),
    Column("id", _Text, nullable=False),
    Column("hash", _Text, nullable=False),
    Column("text", _Text, nullable=False),
    Column("reply", _Text),
    Column("label", _Text),  # JSON: keeps 4, 4.0 and "4" apart
    Column("when", BigInteger),  # microseconds since 1970 in UTC
    Column("kind", _Text),
    Column("meta", _Text),  # JSON object
    # The turn that the record came from, as its meta says: {"conversation": id, "turn": number}.
    Column("conversation", _Text),
    Column("turn", Integer),
    Column("sealed", LargeBinary),  # in an encrypted store, in every table: encryption/rows.py
    UniqueConstraint("user", "id", name="one_id_a_user"),
    Index("records_of_a_conversation", "user", "conversation"),
)

token_counts = Table(
    "token_counts",
    metadata,
    Column("user", _Key, ForeignKey("users.key", ondelete="CASCADE"), primary_key=True),
    Column("tokenizer", _Text, primary_key=True),
    Column("revision", BigInteger, nullable=False),  # the revision of the records that were counted
    Column("tokens", BigInteger, nullable=False),
)

conversations = Table(
    "conversations",
    metadata,
    Column("key", _Key, primary_key=True),
    Column("user", _Key, ForeignKey("users.key", ondelete="CASCADE"), nullable=False),
    Column("id", _Text, nullable=False),
    Column("system", _Text),
    Column("begun", BigInteger, nullable=False),  # microseconds since 1970 in UTC, as in every table
    Column("next", Integer, nullable=False),  # number of the next turn; erasing turns doesn't lower it
    Column("off_record", Boolean, nullable=False, server_default=false()),  # nothing that is said from now on is kept
    Column("sealed", LargeBinary),
    UniqueConstraint("user", "id", name="one_conversation_a_user"),
)

turns = Table(
    "turns",
    metadata,
    Column("key", _Key, primary_key=True),
    Column("conversation", _Key, ForeignKey("conversations.key", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("role", _Text, nullable=False),
    Column("text", _Text, nullable=False),
    Column("when", BigInteger),
    Column("finish", _Text),  # of an answer: why it ended
    Column("sealed", LargeBinary),
    UniqueConstraint("conversation", "number", name="one_number_a_conversation"),
)

instructions = Table(
    "instructions",
    metadata,
    Column("key", _Key, primary_key=True),  # also the order in which they were given
    Column("user", _Key, ForeignKey("users.key", ondelete="CASCADE"), nullable=False),
    Column("id", _Text, nullable=False),
    Column("conversation", _Key, ForeignKey("conversations.key", ondelete="CASCADE")),
    Column("turn", Integer),
    Column("text", _Text, nullable=False),
    Column("scope", _Text, nullable=False),
    Column("until", _Text),
    Column("slot", _Text),
    Column("added", BigInteger),
    Column("ended", BigInteger),
    Column("ended_by", _Text),
    Column("sealed", LargeBinary),
    UniqueConstraint("user", "id", name="one_instruction_a_user"),
    Index("instructions_of_a_conversation", "conversation"),
)

encryption = Table(
    "encryption",
    metadata,
    # One row in an encrypted store: the name of a key of no user, by which a wrong master key or key store is noticed.
    Column("check", _Text, primary_key=True),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", _Text, primary_key=True),
    Column("hash", _Text, nullable=False),  # of the secret, which isn't stored
    Column("tenant", _Text, nullable=False),
    Column("scope", _Text, nullable=False),
    Column("user", _Text),  # the only user of the key, as its client says it
    Column("rate", Integer),  # requests a minute
    Column("body_bytes", BigInteger),
    Column("created", BigInteger, nullable=False),
    Column("revoked", BigInteger),  # the row stays: a store that had keys is never open again
)


def time_order(user: int) -> sa.Select[Any]:
    """Return the query for keys of a user's records with their places in the user's `History`, in that order: a record
    without a time has that of the one before it.
    """
    when = records.c.when
    known = sa.func.count(when).over(order_by=records.c.key).label("known")
    mine = sa.select(records.c.key, when, known).where(records.c.user == user).subquery()
    time = sa.func.max(mine.c.when).over(partition_by=mine.c.known)
    timed = sa.select(mine.c.key, time.label("time")).subquery()
    order = (timed.c.time.nulls_first(), timed.c.key)
    place = sa.func.row_number().over(order_by=order).label("place")
    return sa.select(timed.c.key, place).order_by(place)


def to_row(record: Record) -> dict[str, Any]:
    """Return a record's row without its keys. Raises `InputError` for values that can't be stored: lone surrogates,
    NaN, non-JSON meta.
    """
    try:
        label = None if record.label is None else json.dumps(record.label, ensure_ascii=False, allow_nan=False)
        meta = json.dumps(dict(record.meta), ensure_ascii=False, allow_nan=False) if record.meta else None
        for part in (record.text, record.reply, record.kind, record.id, label, meta):
            if part and not part.isascii():
                part.encode("utf-8")
    except (TypeError, ValueError) as error:
        raise InputError(
            f"record {record.id!a} can't be stored ({error}): expected whole characters, finite numbers, and only "
            "text, numbers, lists and objects in its meta; change the record"
        ) from None
    return {
        "id": record.id,
        "hash": record.content_hash(),
        "text": record.text,
        "reply": record.reply,
        "label": label,
        "when": microseconds(record.when),
        "kind": record.kind,
        "meta": meta,
        **_turn_of(record),
    }


def _turn_of(record: Record) -> dict[str, Any]:
    name, turn = record.meta.get("conversation"), record.meta.get("turn")
    if not isinstance(name, str) or not is_id(name):
        return {"conversation": None, "turn": None}
    return {"conversation": name, "turn": turn if type(turn) is int and 0 <= turn < LAST_TURN else None}


def is_id(name: str) -> bool:
    """Whether this is a valid id of a user, a conversation or an instruction."""
    return 0 < len(name) <= LONGEST and name.isprintable()


def to_record(row: Mapping[str, Any]) -> Record:
    """Return the record of a row: the inverse of `to_row`."""
    return Record(
        text=row["text"],
        id=row["id"],
        reply=row["reply"],
        label=None if row["label"] is None else json.loads(row["label"]),
        when=moment(row["when"]),
        kind=row["kind"],
        meta=json.loads(row["meta"]) if row["meta"] else {},
    )


def to_turn_row(turn: Turn) -> dict[str, Any]:
    """Return a turn's row without its keys. Raises `InputError` for lone surrogates, an unknown role, or a time without
    a zone.
    """
    what = f"turn {turn.number}"
    if turn.role not in ("user", "assistant"):
        raise InputError(f"{what} can't be stored: its role is {turn.role!r}; expected user or assistant")
    _check(what, [turn.text], [turn.when])
    return {
        "number": turn.number,
        "role": turn.role,
        "text": turn.text,
        "when": microseconds(turn.when),
        "finish": turn.finish,
    }


def to_turn(row: Mapping[str, Any]) -> Turn:
    """Return the turn of a row: the inverse of `to_turn_row`."""
    return Turn(row["number"], row["role"], row["text"], moment(row["when"]), row["finish"])


def to_instruction_row(instruction: Instruction) -> dict[str, Any]:
    """Return an instruction's row without its keys and without its conversation, which another table holds. Raises
    `InputError` for lone surrogates, no text, an unknown scope, or a time without a zone.
    """
    what = f"instruction {instruction.id[:40]!a}"
    if not instruction.text.strip():
        raise InputError(f"{what} is empty: expected some text; write down what is asked for")
    if instruction.scope not in ("conversation", "always", "until"):
        raise InputError(
            f"{what} can't be stored: its scope is {instruction.scope!r}; expected conversation, always or until"
        )
    texts = [instruction.text, instruction.until, instruction.slot, instruction.ended_by]
    _check(what, texts, [instruction.added, instruction.ended])
    return {
        "id": instruction.id,
        "turn": instruction.turn,
        "text": instruction.text,
        "scope": instruction.scope,
        "until": instruction.until,
        "slot": instruction.slot,
        "added": microseconds(instruction.added),
        "ended": microseconds(instruction.ended),
        "ended_by": instruction.ended_by,
    }


def to_instruction(row: Mapping[str, Any]) -> Instruction:
    """Return the instruction of a row that has its conversation's id as "named"."""
    return Instruction(
        id=row["id"],
        text=row["text"],
        conversation=row["named"] or "",
        turn=row["turn"],
        scope=row["scope"],
        until=row["until"],
        slot=row["slot"],
        added=moment(row["added"]),
        ended=moment(row["ended"]),
        ended_by=row["ended_by"],
    )


def microseconds(when: datetime | None) -> int | None:
    return None if when is None else (when - _EPOCH) // timedelta(microseconds=1)


@overload
def moment(when: int) -> datetime: ...
@overload
def moment(when: None) -> None: ...
def moment(when: int | None) -> datetime | None:
    return None if when is None else _EPOCH + timedelta(microseconds=when)


def _check(what: str, texts: Iterable[str | None], times: Iterable[datetime | None]) -> None:
    try:
        for text in texts:
            if text and not text.isascii():
                text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{what} can't be stored ({error}): expected whole characters; change the text") from None
    if any(when is not None and when.utcoffset() is None for when in times):
        raise InputError(f"{what} can't be stored: one of its times has no zone; expected UTC")
