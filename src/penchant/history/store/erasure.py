"""Erases a user: rows, files, what the database keeps of deleted rows, and then looks whether anything is left.

Two users may share a sentence. After the erasure its bytes are rightly still there, so a find counts as left behind
only when no live row of the database holds the same words: live rows are read (once, and only when something was
found) and what they explain is set aside. What they explain tells nothing about the erased user that the other
user's own record doesn't say. Live are also rows of derived data that name their sources, none of them erased: a
model may well have written "thank you very much" without having read it here.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from penchant.errors import InputError, StoreError
from penchant.history.store import engine as database
from penchant.history.store.derived import Source, locked, parse_source, source_of
from penchant.history.store.location import DATABASE, user_folder
from penchant.history.store.residue import Needles, live_block, texts_in
from penchant.history.store.tables import records, to_record, users
from penchant.history.store.withdrawal import Erased, surviving_text, withdraw

_PAGE = 5_000
_MARKER = "erasing-"
_NAME = 64  # characters of a user's folder name
_INDEXES = "indexes"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ErasureReceipt:
    """What `Store.forget` erased, and what it then looked for.

    records, files: how many were erased; bytes: their UTF-8 text and the files' sizes together. derived: rows of other
    users' data that were derived from the user's records, and aggregates over several users that counted them in.
    searched: runs of 8 words (or short whole texts) that were looked for in `scanned_files` files of `scanned_bytes`
    bytes; shared: those found because another user's live record holds them too; too_short: different texts of under
    8 bytes, which are not looked for. None is left: `forget` raises otherwise. seconds: wall time.
    """

    user: str
    records: int
    files: int
    bytes: int
    derived: int
    searched: int
    shared: int
    too_short: int
    scanned_files: int
    scanned_bytes: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def forget(engine: sa.Engine, directory: Path, user: str, key: int) -> ErasureReceipt:
    """See `Store.forget`. `key` is the user's row."""
    started = time.perf_counter()
    needles, count, size = _collect(engine, key)
    marker = directory / (_MARKER + user_folder(user))
    erased = Erased([source_of(user)])
    try:
        # Stays until nothing is left, so that an erasure that is cut off is finished when the store is next opened.
        _write_marker(marker, [source_of(user)])
        files, file_bytes = remove_folders(directory, user_folder(user))
        with locked(directory):
            with database.writing(engine) as connection:
                connection.execute(sa.delete(records).where(records.c.user == key))
                connection.execute(sa.delete(users).where(users.c.key == key))
            more_files, more_bytes = remove_folders(directory, user_folder(user))  # written in the meantime
            derived = withdraw(directory, erased)
        compact(engine)
        shared, scanned_files, scanned_bytes = _verify(engine, directory, needles, erased)
        marker.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"erasing {user!r} failed in {directory} ({error.strerror or error}): make the folder writable and open "
            "the store again, which finishes the erasure"
        ) from error
    return ErasureReceipt(
        user=user,
        records=count,
        files=files + more_files,
        bytes=size + file_bytes + more_bytes,
        derived=derived,
        searched=len(needles),
        shared=shared,
        too_short=needles.skipped,
        scanned_files=scanned_files,
        scanned_bytes=scanned_bytes,
        seconds=round(time.perf_counter() - started, 3),
    )


def forget_records(
    engine: sa.Engine, directory: Path, *, user: str, key: int, names: Sequence[str], index: Path | None
) -> None:
    """See `Store.forget_record`. `index`: a folder to remove with them."""
    sources = [source_of(user, name) for name in names]
    marker = directory / f"{_MARKER}records-{uuid.uuid4().hex[:16]}"
    try:
        _write_marker(marker, sources)
        with locked(directory):
            try:
                last = _delete_records(engine, user, key, names)
            except InputError:
                marker.unlink(missing_ok=True)  # nothing was erased, and nothing is to be finished
                raise
            withdraw(directory, Erased([source_of(user)] if last else sources))
            if last:
                remove_folders(directory, user_folder(user), keep=_INDEXES)
        if index is not None and index.exists():
            shutil.rmtree(index)
        # Overwriting what is deleted isn't enough: SQLite leaves copies of rows behind when it re-arranges its pages.
        compact(engine)
        marker.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"files of {user!r} can't be removed ({error}): make {directory} writable, try again"
        ) from error


def _delete_records(engine: sa.Engine, user: str, key: int, names: Sequence[str]) -> bool:
    """Deletes rows, all of them or none. Returns whether that was the last of the user's."""
    with database.writing(engine) as connection:
        for name in names:
            found = sa.delete(records).where(records.c.user == key, records.c.id == name)
            if not connection.execute(found).rowcount:
                raise InputError(f"user {user!r} has no record {name!r}: expected an id that `users export` shows")
        empty = ~sa.exists().where(records.c.user == key)
        return bool(connection.execute(sa.delete(users).where(users.c.key == key, empty)).rowcount)


def finish_erasures(engine: sa.Engine, directory: Path) -> None:
    """Finishes what an interrupted `forget` or `forget_record` left undone: files, rows derived from what was erased,
    and what the database keeps of deleted rows."""
    for marker in sorted(directory.glob(_MARKER + "*")):
        try:
            sources = _read_marker(marker)
            if len(name := marker.name.removeprefix(_MARKER)) == _NAME:
                remove_folders(directory, name)
            if sources:
                with locked(directory):
                    withdraw(directory, Erased(sources))
            compact(engine)
            marker.unlink(missing_ok=True)
        except (OSError, StoreError) as error:  # the store itself is fine; the next opening tries again
            _log.warning("an interrupted erasure in %s could not be finished yet: %s", directory, error)


def _write_marker(marker: Path, sources: Sequence[Source]) -> None:
    with marker.open("w", encoding="ascii") as file:
        file.write("".join(f"{source}\n" for source in sources))
        file.flush()
        os.fsync(file.fileno())


def _read_marker(marker: Path) -> list[Source]:
    """What was being erased. A line that a crash cut short is passed over: nothing was erased yet then."""
    found = []
    for line in marker.read_text(encoding="ascii", errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            found.append(parse_source(line))
    return found


def remove_folders(directory: Path, name: str, keep: str | None = None) -> tuple[int, int]:
    """Removes a user's folder from every area of the store but `keep`. Returns how many files and bytes went."""
    count = size = 0
    for folder in directory.glob(f"*/{name}"):
        if folder.parent.name == keep:
            continue
        for file in _files(folder):
            count += 1
            size += file.stat().st_size
        shutil.rmtree(folder)
    return count, size


def compact(engine: sa.Engine) -> None:
    """Rewrites the database without its deleted rows and empties the write-ahead log."""
    with database.outside_transactions(engine) as connection:
        connection.exec_driver_sql("VACUUM")
    truncate_log(engine)


def truncate_log(engine: sa.Engine) -> None:
    """Moves SQLite's write-ahead log, with its older copies of pages, into the database and cuts it to nothing."""
    if engine.dialect.name != "sqlite":
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


def _collect(engine: sa.Engine, key: int) -> tuple[Needles, int, int]:
    count = size = 0

    def texts() -> Iterator[str]:
        nonlocal count, size
        for row in pages(engine, records.c.user == key):
            count += 1
            record = to_record(row)
            for text in texts_in([record.text, record.reply, record.label, record.meta]):
                size += len(text.encode("utf-8"))
                yield text

    needles = Needles(texts())
    return needles, count, size


def pages(engine: sa.Engine, *where: sa.ColumnElement[bool]) -> Iterator[sa.RowMapping]:
    last = -1
    while True:
        query = sa.select(records).where(records.c.key > last, *where).order_by(records.c.key).limit(_PAGE)
        with database.reading(engine) as connection:
            rows = connection.execute(query).mappings().all()
        yield from rows
        if len(rows) < _PAGE:
            return
        last = rows[-1]["key"]


def _verify(engine: sa.Engine, directory: Path, needles: Needles, erased: Erased) -> tuple[int, int, int]:
    count = size = 0
    found: dict[bytes, set[Path]] = {}
    for file in _files(directory):
        try:
            for raw in needles.within_file(file, short=file.name.startswith(DATABASE)):
                found.setdefault(raw, set()).add(file)
            size += file.stat().st_size
            count += 1
        except FileNotFoundError:  # another process removed it meanwhile
            continue
    left = set(found)
    if left:
        for block in _live_blocks(engine, set().union(*found.values()), erased):
            left -= needles.within(block)
            if not left:
                break
    if left:
        names = sorted({str(file.relative_to(directory)) for raw in left for file in found[raw]})
        raise StoreError(
            f"{len(left)} of {len(needles)} erased texts are still found in {', '.join(names[:5])}: expected none; "
            "stop whatever else writes to the store, remove those files if they are caches, and open the store again"
        )
    return len(found), count, size


def _live_blocks(engine: sa.Engine, files: set[Path], erased: Erased) -> Iterator[bytes]:
    for file in sorted(files):
        with contextlib.suppress(FileNotFoundError):
            yield surviving_text(file, erased)
    with database.reading(engine) as connection:
        if engine.dialect.name == "sqlite":
            yield live_block(tuple(row) for row in connection.exec_driver_sql("SELECT sql FROM sqlite_master"))
        yield live_block(tuple(row) for row in connection.execute(sa.select(users.c.id)))
    block: list[tuple[Any, ...]] = []
    for row in pages(engine):
        block.append(tuple(row.values()))
        if len(block) == _PAGE:
            yield live_block(block)
            block = []
    yield live_block(block)


def _files(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.rglob("*")) if path.is_file() and not path.is_symlink())
