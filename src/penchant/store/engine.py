"""The database engine: setting up SQLite, migrating the schema, translating errors."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from penchant.errors import InputError, StoreError
from penchant.store.schema import SCHEMA, alembic_version, metadata

BUSY_SECONDS = 60.0
"""How many seconds a writer waits for another process before it gives up."""

_BEGIN = "penchant_begin"


def open_engine(url: str | sa.URL) -> sa.Engine:
    """Open an engine whose SQLite connections use WAL, wait for each other, check foreign keys, sync every commit and
    overwrite deleted data. Raises `InputError` for an invalid URL or a missing driver.
    """
    try:
        engine = sa.create_engine(url)
    except (SQLAlchemyError, ModuleNotFoundError) as error:
        raise InputError(f"the store {url!r} can't be opened ({error}): expected a folder or a database URL") from error
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _set_up_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite alone
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.execute("PRAGMA synchronous=FULL")  # NORMAL may lose an acknowledged commit in a power failure
    _switch_to_wal(cursor)
    cursor.close()


def _switch_to_wal(cursor: sqlite3.Cursor) -> None:
    # Switching to WAL, needed once per database, ignores the busy timeout.
    deadline = time.monotonic() + BUSY_SECONDS
    while cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _begin_sqlite(connection: sa.Connection) -> None:
    if statement := connection.get_execution_options().get(_BEGIN, "BEGIN"):
        connection.exec_driver_sql(statement)


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a read transaction: one consistent view, never blocked by a writer."""
    with _named_errors(engine), engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a write transaction: all or nothing."""
    # Take the lock at once: a reader that becomes a writer half-way can fail without waiting.
    options = {_BEGIN: "BEGIN IMMEDIATE"}
    with _named_errors(engine), engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


@contextmanager
def outside_transactions(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a connection for VACUUM and checkpoints, which can't run inside a transaction."""
    # SQLite connections are in autocommit mode until a BEGIN (see _set_up_sqlite); setting it would undo that later.
    options = {_BEGIN: ""} if engine.dialect.name == "sqlite" else {"isolation_level": "AUTOCOMMIT"}
    with _named_errors(engine), engine.connect().execution_options(**options) as connection:
        yield connection


@contextmanager
def _named_errors(engine: sa.Engine) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise StoreError(_explain(engine, str(error.orig))) from error
    except SQLAlchemyError as error:
        raise StoreError(_explain(engine, str(error))) from error
    except sqlite3.Error as error:  # raised by _set_up_sqlite
        raise StoreError(_explain(engine, str(error))) from error


def _explain(engine: sa.Engine, problem: str) -> str:
    where = engine.url.database if engine.dialect.name == "sqlite" else engine.url.render_as_string()
    advice = "check the disk and the permissions; what was acknowledged is kept"
    if "locked" in problem or "busy" in problem:
        advice = f"another process held it for over {BUSY_SECONDS:.0f} s; try again when that one is done"
    elif "full" in problem or "disk I/O" in problem:
        advice = "the disk or the quota is full; free some space and run it again: what was acknowledged is kept"
    elif "not a database" in problem or "malformed" in problem:
        advice = "expected a store written by Penchant; restore a backup or name another folder"
    elif "readonly" in problem or "unable to open" in problem:
        advice = "make the folder writable or name another one"
    return f"the store {where} failed ({problem}): {advice}"


def migrate(engine: sa.Engine) -> None:
    """Bring the schema up to date, in one exclusive transaction. Raises `StoreError` for a schema that this version
    doesn't know.
    """
    with reading(engine) as connection:
        if _revision(connection) == SCHEMA:
            return
    with writing(engine) as connection:
        revision = _revision(connection)  # check again, now that no other process can be migrating
        if revision is None and not sa.inspect(connection).get_table_names():
            _create(connection)
        elif revision != SCHEMA:
            _upgrade(connection, revision)


def _create(connection: sa.Connection) -> None:
    """Make the newest schema at once: importing Alembic alone takes a tenth of a second."""
    metadata.create_all(connection)
    alembic_version.create(connection)
    connection.execute(sa.insert(alembic_version).values(version_num=SCHEMA))


def _upgrade(connection: sa.Connection, revision: str | None) -> None:
    from alembic import command  # a slow import that only an old store needs
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise StoreError(
            f"the store {connection.engine.url.database} has schema {revision!r}, which is newer than this Penchant "
            f"knows (up to {SCHEMA!r}): upgrade penchant, or name another store"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return revision
