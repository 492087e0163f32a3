"""Maps ids of users and conversations, which callers choose, to rows of the database."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from importlib import import_module

import sqlalchemy as sa

from penchant.errors import InputError, UnknownUserError
from penchant.hints import command
from penchant.store.encryption.rows import new_data_keys
from penchant.store.engine import is_writing
from penchant.store.location import store_options
from penchant.store.schema import LONGEST, conversations, instructions, is_id, records, token_counts, users

VARIABLES = 500
"""Values per statement; some databases take no more than 999."""


def checked(name: str, what: str = "user") -> str:
    """Return the id. Raises `InputError` if it is empty, too long or not printable."""
    if not is_id(name):
        raise InputError(
            f"the {what} id {name[:40]!a} can't be used: expected 1 to {LONGEST} printable characters; choose another"
        )
    return name


def find_user(connection: sa.Connection, user: str) -> int | None:
    """Return a user's row key; None for an unknown user. In a write transaction the row is locked until its end: of two
    writers for one user, the second waits. Raises `InputError` for an invalid id.
    """
    query = sa.select(users.c.key).where(users.c.id == checked(user))
    if is_writing(connection):
        query = query.with_for_update()  # nothing in SQLite, which has one lock for all
    key = connection.execute(query).scalar()
    return None if key is None else int(key)


def user_key(connection: sa.Connection, user: str) -> int:
    """Return a user's row key. Raises `UnknownUserError`."""
    if (key := find_user(connection, user)) is None:
        raise _unknown(connection, user)
    return key


def user_revision(connection: sa.Connection, user: str) -> int:
    """Return the revision of a user's records. Raises `UnknownUserError`."""
    found = connection.execute(sa.select(users.c.revision).where(users.c.id == checked(user))).scalar()
    if found is None:
        raise _unknown(connection, user)
    return int(found)


def _unknown(connection: sa.Connection, user: str) -> UnknownUserError:
    users_there = command("users", **store_options(connection.engine))
    return UnknownUserError(f"no user {user!r} in the store: {users_there} lists the users; import records first")


def made_users(connection: sa.Connection, wanted: set[str]) -> dict[str, int]:
    """Return row keys of users by id; missing users are created. The rows are locked, in the order of their ids, so
    that two writers of several users don't wait for each other.
    """
    names = sorted(wanted)
    find = sa.select(users.c.id, users.c.key).order_by(users.c.id).with_for_update()
    keys: dict[str, int] = {row.id: row.key for row in connection.execute(find.where(users.c.id.in_(names)))}
    while missing := [name for name in names if name not in keys]:
        # Another process may make the same user at this moment, or erase it again.
        insert = import_module(f"sqlalchemy.dialects.{connection.dialect.name}").insert(users).on_conflict_do_nothing()
        fresh = zip(missing, new_data_keys(connection, len(missing)), strict=True)
        rows = [{"id": name, "revision": secrets.randbits(48), "data_key": data_key} for name, data_key in fresh]
        connection.execute(insert, rows)
        keys |= {row.id: row.key for row in connection.execute(find.where(users.c.id.in_(missing)))}
    return keys


def lock_user(connection: sa.Connection, key: int) -> None:
    """Lock a user's row until the end of the write transaction, as `find_user` does."""
    connection.execute(sa.select(users.c.key).where(users.c.key == key).with_for_update())


def find_conversation(connection: sa.Connection, user: int, conversation: str) -> int | None:
    """Return a conversation's row key; None for an unknown one. Raises `InputError` for an invalid id."""
    name = checked(conversation, "conversation")
    where = (conversations.c.user == user) & (conversations.c.id == name)
    key = connection.execute(sa.select(conversations.c.key).where(where)).scalar()
    return None if key is None else int(key)


def conversation_key(connection: sa.Connection, user: str, conversation: str) -> int:
    """Return a conversation's row key. Raises `UnknownUserError`, and `InputError` for an unknown conversation."""
    key = find_conversation(connection, user_key(connection, user), conversation)
    if key is None:
        raise InputError(
            f"user {user!r} has no conversation {conversation!r}: expected one that was opened; "
            f"{command('users show', user, **store_options(connection.engine))} lists them"
        )
    return key


def records_changed(connection: sa.Connection, changed: Iterable[int]) -> None:
    """Give users, by row key, a new revision. Call it in the transaction that changes their records."""
    keys = sorted(set(changed))
    for start in range(0, len(keys), VARIABLES):
        some = keys[start : start + VARIABLES]
        connection.execute(sa.update(users).where(users.c.key.in_(some)).values(revision=users.c.revision + 1))
        connection.execute(sa.delete(token_counts).where(token_counts.c.user.in_(some)))


def drop_if_empty(connection: sa.Connection, user: int) -> bool:
    """Delete a user without any remaining data. Returns whether the user was deleted."""
    kept = [sa.exists().where(table.c.user == user) for table in (records, conversations, instructions)]
    return bool(connection.execute(sa.delete(users).where(users.c.key == user, ~sa.or_(*kept))).rowcount)
