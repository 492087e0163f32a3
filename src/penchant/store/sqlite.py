"""SQLite: what every connection is set to, and what its errors mean."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

BEGIN = "penchant_begin"
"""The execution option of a connection that names the statement which begins its transactions ("": none)."""


def set_up(engine: sa.Engine, busy_seconds: Callable[[], float]) -> None:
    """Make the engine's connections use WAL, wait for each other, check foreign keys, sync every commit and overwrite
    deleted data.
    """

    def connected(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun by _begin alone
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={int(busy_seconds() * 1000)}")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA secure_delete=ON")
        cursor.execute("PRAGMA synchronous=FULL")  # NORMAL may lose an acknowledged commit in a power failure
        _switch_to_wal(cursor, busy_seconds())
        cursor.close()

    sa.event.listen(engine, "connect", connected)
    sa.event.listen(engine, "begin", _begin)


def _switch_to_wal(cursor: sqlite3.Cursor, busy_seconds: float) -> None:
    # Switching to WAL, needed once per database, ignores the busy timeout.
    deadline = time.monotonic() + busy_seconds
    while cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _begin(connection: sa.Connection) -> None:
    if statement := connection.get_execution_options().get(BEGIN, "BEGIN"):
        connection.exec_driver_sql(statement)


def advice(problem: str, busy_seconds: float) -> str:
    """Say what to do about an error of SQLite's."""
    if "locked" in problem or "busy" in problem:
        return f"another process held it for over {busy_seconds:.0f} s; try again when that one is done"
    if "full" in problem or "disk I/O" in problem:
        return "the disk or the quota is full; free some space and run it again: what was acknowledged is kept"
    if "not a database" in problem or "malformed" in problem:
        return "expected a store written by Penchant; restore a backup or name another folder"
    if "readonly" in problem or "unable to open" in problem:
        return "make the folder writable or name another one"
    return "check the disk and the permissions; what was acknowledged is kept"
