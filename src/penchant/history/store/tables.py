"""The tables, and the way from a record to a row and back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, RowMapping, Table, Text, UniqueConstraint

from penchant.errors import InputError
from penchant.history.records import Record

SCHEMA = "0001"
"""The newest migration; a test holds it against the scripts in history/migrations/versions."""

_Key = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER is SQLite's row id
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

metadata = MetaData()

users = Table(
    "users",
    metadata,
    Column("key", _Key, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
)

records = Table(
    "records",
    metadata,
    # Also the order in which records came in, which is the order of records without a time.
    Column("key", _Key, primary_key=True),
    Column("user", _Key, ForeignKey("users.key", ondelete="CASCADE"), nullable=False),
    Column("id", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("reply", Text),
    Column("label", Text),  # JSON: keeps 4, 4.0 and "4" apart
    Column("when", BigInteger),  # microseconds since 1970 in UTC
    Column("kind", Text),
    Column("meta", Text),  # JSON object
    UniqueConstraint("user", "id", name="one_id_a_user"),
)


def to_row(record: Record) -> dict[str, Any]:
    """A row without its keys. Raises `InputError` for what can't be stored: half characters, NaN, non-JSON meta."""
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
    when = None if record.when is None else (record.when - _EPOCH) // timedelta(microseconds=1)
    return {
        "id": record.id,
        "hash": record.content_hash(),
        "text": record.text,
        "reply": record.reply,
        "label": label,
        "when": when,
        "kind": record.kind,
        "meta": meta,
    }


def to_record(row: RowMapping) -> Record:
    """The record that `to_row` was given."""
    return Record(
        text=row["text"],
        id=row["id"],
        reply=row["reply"],
        label=None if row["label"] is None else json.loads(row["label"]),
        when=None if row["when"] is None else _EPOCH + timedelta(microseconds=row["when"]),
        kind=row["kind"],
        meta=json.loads(row["meta"]) if row["meta"] else {},
    )
