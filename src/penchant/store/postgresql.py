"""PostgreSQL: its URLs, what every connection is set to, and what its errors mean."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from penchant.errors import InputError, StoreError

DRIVER = "postgresql+psycopg"
RETRIED = ("40001", "40P01")
"""SQLSTATEs of transactions that the server undid in favour of another one: they succeed when run again."""
TOO_LONG = "54000"
"""SQLSTATE of a value that doesn't fit into an index."""

_CONNECT_SECONDS = 10
_SECRET = ("password", "sslpassword")
_IN_TEXT = re.compile(r"(?<=://)[^/\s@]*(?=@)|(?<=password=)[^&\s]*", re.IGNORECASE)


def parse_url(named: str | sa.URL) -> sa.URL:
    """Return the URL of a PostgreSQL database as the driver takes it: postgres://, postgresql:// and
    postgresql+psycopg:// mean the same. Raises `InputError` for anything else, and if the driver isn't installed.
    """
    try:
        url = sa.make_url(named)
    except (ArgumentError, ValueError):
        raise InputError(_unusable(named)) from None  # the message of the error repeats the URL
    if url.drivername not in ("postgres", "postgresql", DRIVER):
        raise InputError(_unusable(named))
    try:
        import psycopg  # noqa: F401  # the engine's own message names no extra
    except ImportError as error:
        raise InputError(
            f"the store {shown(named)} is a PostgreSQL database ({error}): expected its driver; "
            "run `pip install 'penchant[postgres]'`"
        ) from error
    if not url.database:
        raise InputError(
            f"the store {shown(named)} names no database: expected a URL such as postgresql://user@host/penchant"
        )
    return url.set(drivername=DRIVER)


def _unusable(named: str | sa.URL) -> str:
    return (
        f"the store {shown(named)} can't be opened: expected a folder or a database URL such as "
        "postgresql://user@host/penchant"
    )


def shown(place: str | sa.URL) -> str:
    """Return a store's folder or URL as it may be printed: without passwords."""
    if isinstance(place, str) and "://" not in place:
        return place
    try:
        url = sa.make_url(place)
    except (ArgumentError, ValueError):
        return _IN_TEXT.sub("***", str(place))
    hidden = {name: "***" for name in _SECRET if name in url.query}
    if url.drivername == DRIVER:
        url = url.set(drivername="postgresql")
    return url.update_query_dict(hidden).render_as_string(hide_password=True).replace("%2A%2A%2A", "***")


def passwords(url: sa.URL) -> list[str]:
    """Return the secrets in a URL, so that they can be taken out of what a library says."""
    return [str(one) for one in (url.password, *(url.query.get(name) for name in _SECRET)) if one]


def create_engine(url: sa.URL, busy_seconds: Callable[[], float]) -> sa.Engine:
    """Make the engine. Connections that a restarted server dropped are replaced before they are used."""
    given = {"client_encoding": "utf8"}
    if "connect_timeout" not in url.query:
        given["connect_timeout"] = str(_CONNECT_SECONDS)
    engine = sa.create_engine(url, connect_args=given, pool_pre_ping=True, hide_parameters=True)

    def connected(connection: Any, _record: Any) -> None:
        if connection.info.parameter_status("server_encoding") != "UTF8":
            raise StoreError(
                f"the store {shown(url)} has another encoding than UTF-8, which can't hold every text: expected a "
                "database made with `createdb --encoding=UTF8 --template=template0`"
            )
        with connection.cursor() as cursor:
            # A commit is on disk when it returns, whatever the server's default: what was acknowledged is kept.
            cursor.execute(
                "SELECT set_config('lock_timeout', %s, false), CASE current_setting('synchronous_commit') "
                "WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END",
                (f"{int(busy_seconds() * 1000)}ms",),
            )
        connection.commit()

    sa.event.listen(engine, "connect", connected)
    return engine


def problem(error: BaseException | None) -> str:
    """Return what an error of the driver says, in one line and without the row that its details may quote."""
    told = getattr(getattr(error, "diag", None), "message_primary", None) or str(error)
    return " ".join(told.split())


def advice(error: BaseException | None, url: sa.URL, busy_seconds: float) -> str:
    """Say what to do about an error of the driver's. Errors of connecting have no SQLSTATE, only words."""
    state = getattr(error, "sqlstate", None) or ""
    said = str(error)
    for known, what in (*_BY_STATE.items(), *_BY_WORDS.items()):
        if (state and state.startswith(known)) or known in said:
            return what.format(seconds=f"{busy_seconds:.0f}", database=url.database, user=url.username or "USER")
    return "check the server's log; what was acknowledged is kept"


_BY_STATE = {
    "55P03": "another process held it for over {seconds} s; try again when that one is done",
    "53100": "the server's disk is full; free some space and run it again: what was acknowledged is kept",
    "53": "the server has no room for another connection; raise its max_connections, or try again later",
    "42501": "let this user own the database, or `GRANT ALL ON DATABASE {database}` and its schema to {user}",
    "42P07": "another program's tables are in the way; name a database of Penchant's own",
    "25006": "the server only answers reads, as a standby does; name the primary server",
    "57": "the server was stopped or ended the connection; try again when it runs: what was acknowledged is kept",
    "40": "other processes were writing to the same users; run it again: nothing of it was kept",
}
_BY_WORDS = {
    "password": "check the user and the password: in the URL, in $PGPASSWORD, or in ~/.pgpass",
    "does not exist": "check the names of the user and the database; `createdb {database}` makes the database",
    "pg_hba.conf": "let the server accept this user from this machine, in its pg_hba.conf",
    "refused": "start the server, and check the host and the port",
    "resolve host": "check the name of the host",
    "No such file": "start the server, and check the host and the port",
    "timeout": "check the host, the port and the network",
    "timed out": "check the host, the port and the network",
    "SSL": "check the URL's sslmode and the server's certificates",
    "invalid": "check the URL",
    "closed the connection": "the server ended the connection; try again when it runs: what was acknowledged is kept",
}
