"""Erases turns or a whole conversation with everything derived from them: the rest is as if they had never been
said.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from penchant.errors import InputError, StoreError
from penchant.store import engine as database
from penchant.store.encryption.rows import rows_of
from penchant.store.erasure import cleaning
from penchant.store.erasure import users as erasure
from penchant.store.erasure.cascade import Erased, erase_derived
from penchant.store.erasure.lineage import locked, source_of
from penchant.store.keys import VARIABLES, checked, conversation_key, drop_if_empty, records_changed, user_key
from penchant.store.location import EPISODES, INDEXES, conversation_folder, user_folder
from penchant.store.schema import conversations, instructions, records, turns


class _Gone(NamedTuple):
    """What was deleted: ids of records, whether no record is left, and whether the user was removed too."""

    records: tuple[str, ...]
    last: bool
    user: bool


def forget(
    engine: sa.Engine,
    directory: Path,
    user: str,
    conversation: str,
    numbers: Collection[int] | None,
    *,
    keep_index: bool,
) -> tuple[str, ...]:
    """See `Conversations.forget_turns` and `Conversations.forget`. numbers: None for the whole conversation."""
    folder = conversation_folder(directory, checked(user), checked(conversation, "conversation"))
    marker = directory / f"{erasure.MARKER}turns-{uuid.uuid4().hex[:16]}"
    try:
        with locked(directory):
            with database.writing(engine) as connection:
                data_key = cleaning.data_key(connection, user_key(connection, user))
                gone = _delete(connection, user, conversation, None if numbers is None else sorted(set(numbers)))
                sources = [source_of(user, name) for name in gone.records] or ([source_of(user)] if gone.user else [])
                folders = [folder, *_emptied(directory, user, gone)]
                # Before the commit: from then on the erasure will be finished, whatever happens.
                ended = [data_key] if gone.user else []
                erasure.write_marker(marker, sources, [found.relative_to(directory) for found in folders], ended)
            if sources:
                erase_derived(directory, Erased([source_of(user)] if gone.last else sources))
            for found in folders:
                erasure.remove_folder(found)
        if (gone.records or gone.user) and not keep_index:
            erasure.remove_folder(directory / INDEXES / user_folder(user))
        cleaning.destroy_keys(engine, ended)
        cleaning.compact(engine)
        marker.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"files of {user!r} can't be removed ({error}): make {directory} writable, try again"
        ) from error
    return gone.records


def _emptied(directory: Path, user: str, gone: _Gone) -> list[Path]:
    """Return the user's folders, except the index, that have no purpose any more."""
    if not (gone.user or (gone.last and gone.records)):
        return []
    kept = (INDEXES,) if gone.user else (INDEXES, EPISODES)
    return [folder for folder in directory.glob(f"*/{user_folder(user)}") if folder.parent.name not in kept]


def _delete(connection: sa.Connection, user: str, conversation: str, numbers: list[int] | None) -> _Gone:
    owner, key = user_key(connection, user), conversation_key(connection, user, conversation)
    said = {
        row.number: row.when
        for row in connection.execute(sa.select(turns.c.number, turns.c.when).where(turns.c.conversation == key))
    }
    for number in numbers or ():
        if number not in said:
            raise InputError(
                f"conversation {conversation!r} has no turn {number}: expected the number of an existing turn"
            )
    erased = said if numbers is None else {number: said[number] for number in numbers}
    _delete_instructions(connection, owner, key, erased, whole=numbers is None)
    if numbers is None:
        connection.execute(sa.delete(turns).where(turns.c.conversation == key))
        connection.execute(sa.delete(conversations).where(conversations.c.key == key))
    else:
        for start in range(0, len(numbers), VARIABLES):
            some = turns.c.number.in_(numbers[start : start + VARIABLES])
            connection.execute(sa.delete(turns).where(turns.c.conversation == key, some))
    names = _delete_records(connection, owner, conversation, None if numbers is None else set(numbers))
    last = connection.execute(sa.select(records.c.key).where(records.c.user == owner).limit(1)).first() is None
    return _Gone(names, last, drop_if_empty(connection, owner))


def _delete_instructions(
    connection: sa.Connection, owner: int, conversation: int, said: Mapping[int, int | None], whole: bool
) -> None:
    """Delete the instructions given in turns, and restore those that the deleted ones had ended. said: numbers and
    times of the turns; whole: delete the other instructions of the conversation as well.
    """
    mine = connection.execute(sa.select(instructions).where(instructions.c.user == owner)).mappings().all()
    gone = {row["id"]: row for row in mine if row["conversation"] == conversation and (whole or row["turn"] in said)}
    moments = {when for when in said.values() if when is not None}
    for row in mine:
        where = instructions.c.key == row["key"]
        if row["id"] in gone:
            connection.execute(sa.delete(instructions).where(where))
        elif (ending := _ending(row, gone, moments)) != (row["ended"], row["ended_by"]):
            connection.execute(sa.update(instructions).where(where).values(ended=ending[0], ended_by=ending[1]))


def _ending(
    row: sa.RowMapping, gone: Mapping[str, sa.RowMapping], moments: Collection[int]
) -> tuple[int | None, str | None]:
    """Return when an instruction ends, and by what, without the deleted instructions and the turns said at some
    times.
    """
    ended, by = row["ended"], row["ended_by"]
    passed: set[str] = set()
    while by in gone:  # whatever superseded a deleted instruction would have superseded this one
        if by in passed:
            return None, None
        passed.add(by)
        ended, by = gone[by]["ended"], gone[by]["ended_by"]
    own = by != "until" or not passed  # the "until" of another instruction doesn't concern this one
    said = by in ("user", "until") and ended in moments
    return (ended, by) if own and not said else (None, None)


def _delete_records(
    connection: sa.Connection, owner: int, conversation: str, numbers: Collection[int] | None
) -> tuple[str, ...]:
    """Delete the records that came from turns, and return their ids. numbers: None for all turns of the
    conversation.
    """
    mine = rows_of(connection, owner)
    named = sa.select(records.c.key, records.c.id, records.c.turn, records.c.sealed).where(
        records.c.user == owner, records.c.conversation == conversation
    )
    rows = connection.execute(named.order_by(records.c.key)).mappings()
    wanted = (row for row in rows if numbers is None or row["turn"] in numbers)
    found: dict[int, str] = {row["key"]: mine.opened(records, row)["id"] for row in wanted}
    keys = list(found)
    for start in range(0, len(keys), VARIABLES):
        connection.execute(sa.delete(records).where(records.c.key.in_(keys[start : start + VARIABLES])))
    if keys:
        records_changed(connection, [owner])
    return tuple(found.values())
