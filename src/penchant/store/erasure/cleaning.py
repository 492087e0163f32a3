"""Cleans the database of what deleted rows leave behind, as far as its kind lets a client do that."""

from __future__ import annotations

import time
from collections.abc import Iterable

import sqlalchemy as sa

from penchant.errors import StoreError
from penchant.store import engine as database
from penchant.store.encryption.vault import vault_of
from penchant.store.schema import metadata, users

PAGES = "table files"
LOG = "write-ahead log"
COPIES = "backups and replicas"
"""Where a PostgreSQL server holds deleted text: in the free room of its table files, until that is used again or
`rewrite` is called; in its log of changes, until the segments are recycled; and in copies made before."""


def compact(engine: sa.Engine) -> None:
    """After an erasure: rewrite SQLite's database without its deleted rows and empty its write-ahead log. PostgreSQL
    would have to lock everybody out for that: it frees the room of the deleted rows for others (VACUUM), and makes its
    statistics, which quote values, anew from the rows that are left.
    """
    with database.outside_transactions(engine) as connection:
        connection.exec_driver_sql("VACUUM" if _sqlite(engine) else f"VACUUM (ANALYZE) {_tables(connection, metadata)}")
    truncate_log(engine)


def rewrite(engine: sa.Engine, tables: sa.MetaData = metadata) -> None:
    """Rewrite the files of every table and index without what deleted rows left in them. Nobody else can use the store
    meanwhile.
    """
    with database.outside_transactions(engine) as connection:
        connection.exec_driver_sql(
            "VACUUM" if _sqlite(engine) else f"VACUUM (FULL, ANALYZE) {_tables(connection, tables)}"
        )
    truncate_log(engine)


def remains(engine: sa.Engine) -> tuple[str, ...]:
    """Return where the database may still hold erased text after `compact`. Of an encrypted store: where the key store
    may still hold the user's key, wrapped with the master key.
    """
    if (vault := vault_of(engine)) is not None:
        return tuple(f"key store's {place}" for place in (() if _sqlite(vault.engine) else (LOG, COPIES)))
    return () if _sqlite(engine) else (PAGES, LOG, COPIES)


def destroy_keys(engine: sa.Engine, names: Iterable[str | None]) -> bool:
    """Destroy the keys of erased users in an encrypted store; those that a user still has are kept. Returns whether any
    was destroyed.
    """
    vault, wanted = vault_of(engine), [name for name in names if name is not None]
    if vault is None or not wanted:
        return False
    with database.reading(engine) as connection:
        used = set(connection.execute(sa.select(users.c.data_key).where(users.c.data_key.in_(wanted))).scalars())
    if gone := [name for name in wanted if name not in used]:
        vault.destroy(gone)
    return bool(gone)


def data_key(connection: sa.Connection, user: int) -> str | None:
    """Return the name of a user's key; None: it has none. user: the user's row."""
    name: str | None = connection.execute(sa.select(users.c.data_key).where(users.c.key == user)).scalar()
    return name


def truncate_log(engine: sa.Engine) -> None:
    """Move SQLite's write-ahead log, with its older copies of pages, into the database and truncate it."""
    if not _sqlite(engine):
        return
    with database.outside_transactions(engine) as connection:
        deadline = time.monotonic() + database.BUSY_SECONDS
        while True:
            busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
            if not busy:
                return
            if time.monotonic() > deadline:
                raise StoreError(
                    f"the store {engine.url.database} is being read by another process, which keeps deleted text in "
                    "its log: the rows are erased; stop that process and open the store again, which empties the log"
                )
            time.sleep(0.05)


def _sqlite(engine: sa.Engine) -> bool:
    return engine.dialect.name == "sqlite"


def _tables(connection: sa.Connection, tables: sa.MetaData) -> str:
    return ", ".join(connection.dialect.identifier_preparer.format_table(table) for table in tables.sorted_tables)
