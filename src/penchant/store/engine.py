"""The database engine: connections for reading and writing, migrating the schema, translating errors."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from penchant.errors import InputError, StoreError
from penchant.store import postgresql, sqlite
from penchant.store.schema import SCHEMA, alembic_version, metadata

BUSY_SECONDS = 60.0
"""How many seconds a writer waits for another process before it gives up."""

_MIGRATING = 0x70656E6368616E74  # the number of PostgreSQL's lock: "penchant"
T = TypeVar("T")


def open_engine(url: str | sa.URL) -> sa.Engine:
    """Open an engine for an SQLite file or a PostgreSQL database. Raises `InputError` for another URL or a missing
    driver.
    """
    if isinstance(url, sa.URL) and url.get_backend_name() == "sqlite":
        engine = sa.create_engine(url, hide_parameters=True)
        sqlite.set_up(engine, lambda: BUSY_SECONDS)
        return engine
    return postgresql.create_engine(postgresql.parse_url(url), lambda: BUSY_SECONDS)


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a read transaction: one consistent view, never blocked by a writer."""
    with _named_errors(engine), _connected(engine, _READING) as connection:
        yield connection


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a write transaction: all or nothing. In SQLite all writers wait for each other; in PostgreSQL those of one
    user do, because each locks the row of its user first (`keys.find_user`, `keys.made_users`).
    """
    with _named_errors(engine), _connected(engine, _WRITING) as connection, connection.begin():
        yield connection


def written(engine: sa.Engine, work: Callable[[sa.Connection], T]) -> T:
    """Return what `work` returns in a write transaction. It is run again if the database undid it in favour of another
    one, as happens to transactions of several users that wait for each other.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            with writing(engine) as connection:
                return work(connection)
        except StoreError as error:
            undone = getattr(getattr(error.__cause__, "orig", None), "sqlstate", None) in postgresql.RETRIED
            if not undone or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0, 0.05))


def is_writing(connection: sa.Connection) -> bool:
    """Whether the connection was opened by `writing`."""
    return bool(connection.get_execution_options().get(_WRITER))


@contextmanager
def outside_transactions(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a connection for VACUUM and checkpoints, which can't run inside a transaction."""
    with _named_errors(engine), _connected(engine, _OUTSIDE) as connection:
        yield connection


_WRITER = "penchant_writer"
_READING = {"postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}}
_WRITING = {
    # Take the lock at once: a reader that becomes a writer half-way can fail without waiting.
    "sqlite": {_WRITER: True, sqlite.BEGIN: "BEGIN IMMEDIATE"},
    "postgresql": {_WRITER: True, "isolation_level": "READ COMMITTED"},
}
_OUTSIDE = {
    # SQLite connections are in autocommit mode until a BEGIN (see sqlite.py); setting it would undo that later.
    "sqlite": {sqlite.BEGIN: ""},
    "postgresql": {"isolation_level": "AUTOCOMMIT"},
}


def _connected(engine: sa.Engine, options: Mapping[str, Mapping[str, Any]]) -> sa.Connection:
    return engine.connect().execution_options(**options.get(engine.dialect.name, {}))


@contextmanager
def _named_errors(engine: sa.Engine) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == postgresql.TOO_LONG:
            raise InputError(
                f"an id can't be stored ({postgresql.problem(error.orig)}): expected at most 2,600 bytes; choose a "
                "shorter one"
            ) from error
        raise StoreError(_explain(engine, error.orig)) from error
    except (SQLAlchemyError, sqlite3.Error) as error:  # of SQLite: raised while a connection is set up
        raise StoreError(_explain(engine, error)) from error


def _explain(engine: sa.Engine, error: BaseException | None) -> str:
    if engine.dialect.name == "sqlite":
        where, problem = str(engine.url.database), str(error)
        advice = sqlite.advice(problem, BUSY_SECONDS)
    else:
        where, problem = postgresql.shown(engine.url), postgresql.problem(error)
        advice = postgresql.advice(error, engine.url, BUSY_SECONDS)
        for secret in postgresql.passwords(engine.url):
            problem = problem.replace(secret, "***")
    return f"the store {where} failed ({problem}): {advice}"


def migrate(engine: sa.Engine) -> None:
    """Bring the schema up to date, in one exclusive transaction. Raises `StoreError` for a schema that this version
    doesn't know.
    """
    with reading(engine) as connection:
        if _revision(connection) == SCHEMA:
            return
    with writing(engine) as connection:
        lock_schema(connection)
        revision = _revision(connection)  # check again, now that no other process can be migrating
        if revision is None and not sa.inspect(connection).get_table_names():
            _create(connection)
        elif revision != SCHEMA:
            _upgrade(connection, revision)


def lock_schema(connection: sa.Connection) -> None:
    """Let no other process change the schema until the end of the write transaction."""
    if connection.dialect.name == "postgresql":  # SQLite's write transactions exclude each other anyway
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATING)))


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
            f"knows (up to {SCHEMA!r}), or another program's: upgrade penchant, or name another store"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return revision
