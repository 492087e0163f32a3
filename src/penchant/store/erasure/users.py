"""Erases a user: rows, files, and remains of deleted rows in the database; then verifies that nothing is left."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from penchant.errors import InputError, StoreError
from penchant.hints import command
from penchant.store import engine as database
from penchant.store.api_keys import end_keys_of
from penchant.store.encryption.rows import rows_of
from penchant.store.erasure import cleaning
from penchant.store.erasure.cascade import Erased, erase_derived
from penchant.store.erasure.lineage import Source, is_user_folder, locked, parse_source, source_of
from penchant.store.erasure.verification import collect, files, verify
from penchant.store.keys import drop_if_empty, lock_user, records_changed
from penchant.store.location import EPISODES, INDEXES, store_options, user_folder
from penchant.store.schema import conversations, instructions, records, turns, users

MARKER = "erasing-"
PLAIN_TEXTS = f"{MARKER}plain-texts"
"""The marker of a store that is being encrypted: its tables have to be rewritten."""

_KEY = "key:"
_NAME = 64  # length of a user's folder name
_FOLDER = re.compile(r"[^/.]+/[0-9a-f]{64}(/[0-9a-f]{16})?")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ErasureReceipt:
    """What `Store.forget` erased, and what it then searched for.

    records, conversations, turns, instructions, files: how many were erased; bytes: size of their UTF-8 texts and files
    together. derived: erased rows of other users' data that were derived from the user's records, and aggregates over
    several users that included them. searched: runs of 8 words (or short whole texts) that were searched for in
    `scanned_files` files of `scanned_bytes` bytes, and in `scanned_rows` rows of a database elsewhere (0 with SQLite,
    whose rows are in a file); shared: those found because another user's live record contains them too; too_short:
    different texts under 8 bytes, which are not searched for. Nothing else is left in what was searched: `forget`
    raises otherwise. key_destroyed: whether the store is encrypted and the user's key was destroyed: no copy of the
    database can be read for this user any more. remains: where the database's server may still hold the texts
    (`cleaning.remains`); empty with SQLite. seconds: wall time.
    """

    user: str
    records: int
    conversations: int
    turns: int
    instructions: int
    files: int
    bytes: int
    derived: int
    searched: int
    shared: int
    too_short: int
    scanned_files: int
    scanned_bytes: int
    scanned_rows: int
    key_destroyed: bool
    remains: tuple[str, ...]
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def forget(engine: sa.Engine, directory: Path, user: str, key: int) -> ErasureReceipt:
    """See `Store.forget`. `key` is the user's row."""
    started = time.perf_counter()
    with database.reading(engine) as connection:
        data_key = cleaning.data_key(connection, key)
    kept = collect(engine, key)
    marker = directory / (MARKER + user_folder(user))
    erased = Erased([source_of(user)])
    try:
        # Kept until nothing is left, so that an interrupted erasure is finished when the store is next opened.
        write_marker(marker, [source_of(user)], data_keys=[data_key])
        count, size = remove_folders(directory, user_folder(user))
        with locked(directory):
            with database.writing(engine) as connection:
                lock_user(connection, key)
                said = sa.select(conversations.c.key).where(conversations.c.user == key)
                connection.execute(sa.delete(turns).where(turns.c.conversation.in_(said)))
                for table in (instructions, conversations, records):
                    connection.execute(sa.delete(table).where(table.c.user == key))
                connection.execute(sa.delete(users).where(users.c.key == key))
                end_keys_of(connection, user)
            more, more_size = remove_folders(directory, user_folder(user))  # written in the meantime
            derived = erase_derived(directory, erased)
        destroyed = cleaning.destroy_keys(engine, [data_key])
        cleaning.compact(engine)
        seen = verify(engine, directory, kept.needles, erased)
        marker.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"erasing {user!r} failed in {directory} ({error.strerror or error}): make the folder writable and open "
            "the store again, which finishes the erasure"
        ) from error
    return ErasureReceipt(
        user=user,
        records=kept.records,
        conversations=kept.conversations,
        turns=kept.turns,
        instructions=kept.instructions,
        files=count + more,
        bytes=kept.bytes + size + more_size,
        derived=derived,
        searched=seen.searched,
        shared=seen.shared,
        too_short=seen.too_short,
        scanned_files=seen.files,
        scanned_bytes=seen.bytes,
        scanned_rows=seen.rows,
        key_destroyed=destroyed,
        remains=cleaning.remains(engine),
        seconds=round(time.perf_counter() - started, 3),
    )


def forget_records(
    engine: sa.Engine, directory: Path, *, user: str, key: int, names: Sequence[str], index: Path | None
) -> None:
    """See `Store.forget_record`. `index`: a folder to remove with them."""
    with database.reading(engine) as connection:
        data_key = cleaning.data_key(connection, key)
    sources = [source_of(user, name) for name in names]
    marker = directory / f"{MARKER}records-{uuid.uuid4().hex[:16]}"
    try:
        write_marker(marker, sources, data_keys=[data_key])
        with locked(directory):
            try:
                last, gone = _delete_records(engine, user, key, names)
            except InputError:
                marker.unlink(missing_ok=True)  # nothing was erased, so there is nothing to finish
                raise
            erase_derived(directory, Erased([source_of(user)] if last else sources))
            if last:
                remove_folders(directory, user_folder(user), keep=(INDEXES,) if gone else (INDEXES, EPISODES))
        if index is not None:
            remove_folder(index)
        cleaning.destroy_keys(engine, [data_key])
        # Overwriting deleted rows isn't enough: SQLite leaves copies behind when it rearranges its pages.
        cleaning.compact(engine)
        marker.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"files of {user!r} can't be removed ({error}): make {directory} writable, try again"
        ) from error


def _delete_records(engine: sa.Engine, user: str, key: int, names: Sequence[str]) -> tuple[bool, bool]:
    """Delete rows, all of them or none. Returns whether the user has no records left, and whether the user was removed,
    having no other data.
    """
    with database.writing(engine) as connection:
        lock_user(connection, key)
        mine = rows_of(connection, key)
        for name in names:
            found = sa.delete(records).where(records.c.user == key, records.c.id == mine.record_id(name))
            if not connection.execute(found).rowcount:
                raise InputError(
                    f"user {user!r} has no record {name!r}: expected an id that "
                    f"{command('users export', user, **store_options(engine))} shows"
                )
        records_changed(connection, [key])
        last = connection.execute(sa.select(records.c.key).where(records.c.user == key).limit(1)).first() is None
        return last, last and drop_if_empty(connection, key)


def finish_erasures(engine: sa.Engine, directory: Path) -> None:
    """Finish interrupted calls of `forget` or `forget_record`: files, derived rows, and remains of deleted rows in the
    database; and remove the folders of users who were erased on another machine.
    """
    if engine.dialect.name != "sqlite":
        _remove_strays(engine, directory)
    for marker in sorted(directory.glob(MARKER + "*")):
        try:
            sources, folders, data_keys = _read_marker(marker)
            if len(name := marker.name.removeprefix(MARKER)) == _NAME:
                remove_folders(directory, name)
            for folder in folders:
                remove_folder(directory / folder)
            if sources:
                with locked(directory):
                    erase_derived(directory, Erased(sources))
            cleaning.destroy_keys(engine, data_keys)
            (cleaning.rewrite if marker.name == PLAIN_TEXTS else cleaning.compact)(engine)
            marker.unlink(missing_ok=True)
        except (OSError, StoreError) as error:  # the store itself is fine; the next opening tries again
            _log.warning("an interrupted erasure in %s could not be finished yet: %s", directory, error)


def _remove_strays(engine: sa.Engine, directory: Path) -> None:
    """Remove folders of users who aren't in the database."""
    # In this order: a user whose folder is there by now was in the database before.
    strays = {folder.name for folder in directory.glob("*/*") if is_user_folder(folder.name)}
    if strays:
        with database.reading(engine) as connection:
            strays -= {user_folder(name) for name in connection.execute(sa.select(users.c.id)).scalars()}
    for name in sorted(strays):
        try:
            remove_folders(directory, name)
        except OSError as error:  # the next opening tries again
            _log.warning("files of an erased user in %s could not be removed yet: %s", directory, error)


def write_marker(
    marker: Path, sources: Iterable[Source], folders: Iterable[Path] = (), data_keys: Iterable[str | None] = ()
) -> None:
    """Write to disk what an erasure is about to remove, so that it can be finished if it is interrupted. folders: of
    users or conversations, relative to the store's. data_keys: names of users' keys, destroyed if the user is gone.
    Raises `OSError`.
    """
    keys = (f"{_KEY}{name}" for name in data_keys if name is not None)
    lines = [*map(str, sources), *(folder.as_posix() for folder in folders), *keys]
    with marker.open("w", encoding="ascii") as file:
        file.write("".join(f"{line}\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())


def _read_marker(marker: Path) -> tuple[list[Source], list[str], list[str]]:
    """Return what was being erased, its folders, and names of users' keys. A line that a crash cut short is skipped:
    nothing had been erased then.
    """
    found, folders, data_keys = [], [], []
    for line in marker.read_text(encoding="ascii", errors="replace").splitlines():
        if _FOLDER.fullmatch(line):
            folders.append(line)
        if line.startswith(_KEY):
            data_keys.append(line.removeprefix(_KEY))
        with contextlib.suppress(ValueError):
            found.append(parse_source(line))
    return found, folders, data_keys


def remove_folders(directory: Path, name: str, keep: Sequence[str] = ()) -> tuple[int, int]:
    """Remove a user's folder from every area of the store except those in `keep`. Returns how many files and bytes were
    removed.
    """
    count = size = 0
    for folder in directory.glob(f"*/{name}"):
        if folder.parent.name in keep:
            continue
        for file in files(folder):
            count += 1
            size += file.stat().st_size
        shutil.rmtree(folder)
    return count, size


def remove_folder(folder: Path) -> None:
    """Remove a folder if it exists. Raises `OSError`."""
    if folder.exists():
        shutil.rmtree(folder)
