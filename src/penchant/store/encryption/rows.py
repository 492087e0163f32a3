"""Rows of an encrypted store: what in them is text of the user is in one encrypted column, bound to its row.

In the clear stay: ids of users, conversations and instructions, times, numbers, roles and scopes. A record's id, which
may be a hash of its text, and the hash of its content are replaced by tokens that only the user's key can make.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import sqlalchemy as sa

from penchant.errors import StoreError
from penchant.store.encryption.ciphers import UserCipher
from penchant.store.encryption.vault import vault_of
from penchant.store.schema import conversations, encryption, instructions, records, turns, users

PRIVATE: Mapping[str, tuple[str, ...]] = {
    records.name: ("id", "text", "reply", "label", "kind", "meta"),
    conversations.name: ("system",),
    turns.name: ("text",),
    instructions.name: ("text", "until", "slot"),
}
"""Encrypted columns by table."""


class Rows:
    """Converts rows of one user; without a cipher it leaves them as they are."""

    def __init__(self, cipher: UserCipher | None = None) -> None:
        self.cipher = cipher

    def record_id(self, name: str) -> str:
        """Return what stands in the database for a record's id."""
        return name if self.cipher is None else self.cipher.token(f"id {name}")

    def closed(self, table: sa.Table, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row as it is stored. A turn's has to have its conversation."""
        if self.cipher is None:
            return row
        stored = {**row, **{name: None if table.c[name].nullable else "" for name in PRIVATE[table.name]}}
        if table is records:
            stored["id"] = self.record_id(row["id"])
            stored["hash"] = self.cipher.token(f"hash {row['hash']}")
        private = {name: row[name] for name in PRIVATE[table.name] if row.get(name) is not None}
        stored["sealed"] = self.cipher.sealed(_place(table, stored), private)
        return stored

    def opened(self, table: sa.Table, given: sa.RowMapping) -> Mapping[str, Any]:
        """Return a row as it was before `closed`. Raises `StoreError` for one that was stored for another place."""
        row = cast("Mapping[str, Any]", given)
        if self.cipher is None:
            return row
        if row["sealed"] is None:
            raise StoreError(f"a row of {table.name} isn't encrypted: it was written outside of Penchant; remove it")
        return {**row, **self.cipher.opened(_place(table, row), row["sealed"])}


PLAIN = Rows()


def rows_of(connection: sa.Connection, user: int) -> Rows:
    """Return the conversion of a user's rows. user: the user's row. Raises `StoreError` for a key that isn't there, and
    if the store was encrypted after it had been opened here.
    """
    found = connection.execute(sa.select(users.c.data_key).where(users.c.key == user)).first()
    if found is None:
        return PLAIN  # the user was erased
    vault = vault_of(connection)
    if vault is None:
        if found.data_key is not None:
            raise _encrypted_meanwhile()
        return PLAIN
    if found.data_key is None:
        raise StoreError("a user of the encrypted store has no key: it was written outside of Penchant; remove it")
    return Rows(vault.cipher(found.data_key))


def new_data_keys(connection: sa.Connection, count: int) -> list[str | None]:
    """Make keys for new users: none each in a store that isn't encrypted."""
    if (vault := vault_of(connection)) is not None:
        return [*vault.make(count)]
    if connection.execute(sa.select(encryption.c.check)).first() is not None:
        raise _encrypted_meanwhile()
    return [None] * count


def _place(table: sa.Table, row: Mapping[str, Any]) -> str:
    return f"{table.name} {row['conversation']} {row['number']}" if table is turns else f"{table.name} {row['id']}"


def _encrypted_meanwhile() -> StoreError:
    return StoreError("the store was encrypted by another process: open it again, with its master key")
