"""Adds records to the database: new ones, unchanged ones, and those that replace others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from penchant.errors import InputError
from penchant.history.records import as_records
from penchant.store.encryption.rows import rows_of
from penchant.store.entries import Counts
from penchant.store.keys import checked, made_users, records_changed
from penchant.store.schema import records, to_row


def row_of(pair: object) -> tuple[str, dict[str, Any]]:
    """Return the user and the row of a pair of a user's id and a record. Raises `InputError`."""
    if not isinstance(pair, tuple) or len(pair) != 2 or not isinstance(pair[0], str):
        raise InputError(f"{pair!r:.60} can't be added: expected pairs of a user's id and a record")
    (record,) = as_records([pair[1]])
    return checked(pair[0]), to_row(record)


def add_rows(connection: sa.Connection, rows: list[tuple[str, dict[str, Any]]], overwrite: bool) -> Counts:
    """Add rows of `row_of` in the write transaction. Raises `InputError` for an id that is stored with other content,
    unless it is to be overwritten.
    """
    keys = made_users(connection, {user for user, _ in rows})
    closing = {user: rows_of(connection, key) for user, key in keys.items()}
    stored = [(user, closing[user].closed(records, row)) for user, row in rows]
    there = _hashes(connection, keys, stored)
    fresh: dict[tuple[int, str], dict[str, Any]] = {}
    changed: dict[tuple[int, str], dict[str, Any]] = {}
    counts = Counts()
    for (user, given), (_, row) in zip(rows, stored, strict=True):
        key = (keys[user], row["id"])
        known = there.get(key)
        if known == row["hash"]:
            counts = replace(counts, unchanged=counts.unchanged + 1)
            continue
        if known is not None and not overwrite:
            raise InputError(
                f"record {given['id']!r} of user {user!r} is already stored with other content: expected a new id or "
                "the same content; give it another id, or replace it on purpose"
            )
        there[key] = row["hash"]
        if known is None:
            counts = replace(counts, added=counts.added + 1)
            fresh[key] = {"user": keys[user], **row}
        else:
            counts = replace(counts, replaced=counts.replaced + 1)
            target = fresh if key in fresh else changed
            target[key] = {"user": keys[user], **row}
    if fresh:
        connection.execute(sa.insert(records), list(fresh.values()))
    for (user_row, name), row in changed.items():
        where = (records.c.user == user_row) & (records.c.id == name)
        connection.execute(sa.update(records).where(where).values(row))
    records_changed(connection, (user_row for user_row, _ in (*fresh, *changed)))
    return counts


def _hashes(
    connection: sa.Connection, keys: Mapping[str, int], rows: list[tuple[str, dict[str, Any]]]
) -> dict[tuple[int, str], str]:
    """Return content hashes of the records that are already stored, by (user key, record id)."""
    there: dict[tuple[int, str], str] = {}
    by_user: dict[int, list[str]] = {}
    for user, row in rows:
        by_user.setdefault(keys[user], []).append(row["id"])
    for key, names in by_user.items():
        query = sa.select(records.c.id, records.c.hash).where(records.c.user == key, records.c.id.in_(names))
        there |= {(key, row.id): row.hash for row in connection.execute(query)}
    return there
