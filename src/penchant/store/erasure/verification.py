"""Verification of an erasure: collects the user's texts, then searches the store's files for them.

Two users may have written the same sentence. After the erasure of one, its bytes may rightly remain, so a match counts
as a remnant only if no live row of the database contains the same words. Live rows are read once, and only if something
was found. Rows of derived data whose named sources all still exist count as live too: a model may have written "thank
you very much" without having read it here.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from penchant.errors import StoreError
from penchant.store import engine as database
from penchant.store.erasure.cascade import Erased, surviving_text
from penchant.store.location import DATABASE
from penchant.store.schema import conversations, instructions, records, to_record, turns, users

if TYPE_CHECKING:
    from penchant.store.erasure.residue import Needles

_PAGE = 5_000


class Collected(NamedTuple):
    """The data of a user: counts, bytes of text in UTF-8, and the byte strings to search for."""

    records: int
    conversations: int
    turns: int
    instructions: int
    bytes: int
    needles: Needles


@dataclass(frozen=True)
class Search:
    """What a store's files were searched for. searched: runs of 8 words, or short whole texts; shared: those that live
    rows contain too; too_short: different texts under 8 bytes, which aren't searched for; files, bytes: of the files
    searched. Nothing else was found, or there would be a `StoreError`.
    """

    searched: int
    shared: int
    too_short: int
    files: int
    bytes: int


def search(engine: sa.Engine, directory: Path, texts: Iterable[str], erased: Erased) -> Search:
    """Search every file under a store's folder for erased texts. Raises `StoreError` for one that no live row
    contains.
    """
    from penchant.store.erasure.residue import Needles  # numpy: only erasing waits for it

    needles = Needles(texts)
    shared, files, size = verify(engine, directory, needles, erased)
    return Search(len(needles), shared, needles.skipped, files, size)


def collect(engine: sa.Engine, key: int) -> Collected:
    """Collect the data of a user. key: the user's row."""
    from penchant.store.erasure.residue import Needles, texts_in  # numpy: only erasing waits for it

    count: Counter[str] = Counter()
    size = 0

    def texts() -> Iterator[str]:
        nonlocal size
        for table, fields in _fields_of(engine, key):
            count[table.name] += 1
            for text in texts_in(fields):
                size += len(text.encode("utf-8"))
                yield text

    needles = Needles(texts())
    return Collected(
        records=count["records"],
        conversations=count["conversations"],
        turns=count["turns"],
        instructions=count["instructions"],
        bytes=size,
        needles=needles,
    )


def _fields_of(engine: sa.Engine, key: int) -> Iterator[tuple[sa.Table, list[Any]]]:
    for row in pages(engine, records, records.c.user == key):
        record = to_record(row)
        yield records, [record.text, record.reply, record.label, record.meta]
    for row in pages(engine, conversations, conversations.c.user == key):
        yield conversations, [row["system"]]
    mine = sa.select(conversations.c.key).where(conversations.c.user == key)
    for row in pages(engine, turns, turns.c.conversation.in_(mine)):
        yield turns, [row["text"]]
    for row in pages(engine, instructions, instructions.c.user == key):
        yield instructions, [row["text"], row["until"]]


def pages(engine: sa.Engine, table: sa.Table, *where: sa.ColumnElement[bool]) -> Iterator[sa.RowMapping]:
    """Yield rows in the order they arrived, read page by page."""
    last = -1
    while True:
        query = sa.select(table).where(table.c.key > last, *where).order_by(table.c.key).limit(_PAGE)
        with database.reading(engine) as connection:
            rows = connection.execute(query).mappings().all()
        yield from rows
        if len(rows) < _PAGE:
            return
        last = rows[-1]["key"]


def verify(engine: sa.Engine, directory: Path, needles: Needles, erased: Erased) -> tuple[int, int, int]:
    """Search every file under a store's folder. Returns how many matches live rows explain, and how many files and
    bytes were searched. Raises `StoreError` for a match that no live row explains.
    """
    count = size = 0
    found: dict[bytes, set[Path]] = {}
    for file in files(directory):
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


def _live_blocks(engine: sa.Engine, holding: set[Path], erased: Erased) -> Iterator[bytes]:
    from penchant.store.erasure.residue import live_block

    for file in sorted(holding):
        with contextlib.suppress(FileNotFoundError):
            yield surviving_text(file, erased)
    with database.reading(engine) as connection:
        if engine.dialect.name == "sqlite":
            yield live_block(tuple(row) for row in connection.exec_driver_sql("SELECT sql FROM sqlite_master"))
        yield live_block(tuple(row) for row in connection.execute(sa.select(users.c.id)))
    block: list[tuple[Any, ...]] = []
    for row in chain.from_iterable(pages(engine, table) for table in (records, conversations, turns, instructions)):
        block.append(tuple(row.values()))
        if len(block) == _PAGE:
            yield live_block(block)
            block = []
    yield live_block(block)


def files(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.rglob("*")) if path.is_file() and not path.is_symlink())
