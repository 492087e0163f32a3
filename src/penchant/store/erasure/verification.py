"""Verification of an erasure: collects the user's texts, then searches the store for them: its files and, of a database
elsewhere, what SQL shows of it (all rows, and the values that the planner's statistics quote).

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
from penchant.store.encryption.rows import rows_of
from penchant.store.erasure.cascade import Erased, surviving_text
from penchant.store.location import DATABASE
from penchant.store.schema import conversations, instructions, metadata, records, to_record, turns, users

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
    searched; rows: of a database elsewhere. Nothing else was found, or there would be a `StoreError`.
    """

    searched: int
    shared: int
    too_short: int
    files: int
    bytes: int
    rows: int


def search(engine: sa.Engine, directory: Path, texts: Iterable[str], erased: Erased) -> Search:
    """Search a store for erased texts. Raises `StoreError` for one that no live row
    contains.
    """
    from penchant.store.erasure.residue import Needles  # numpy: only erasing waits for it

    return verify(engine, directory, Needles(texts), erased)


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
    with database.reading(engine) as connection:
        opened = rows_of(connection, key).opened
    for row in pages(engine, records, records.c.user == key):
        record = to_record(opened(records, row))
        yield records, [record.text, record.reply, record.label, record.meta]
    for row in pages(engine, conversations, conversations.c.user == key):
        yield conversations, [opened(conversations, row)["system"]]
    mine = sa.select(conversations.c.key).where(conversations.c.user == key)
    for row in pages(engine, turns, turns.c.conversation.in_(mine)):
        yield turns, [opened(turns, row)["text"]]
    for row in pages(engine, instructions, instructions.c.user == key):
        one = opened(instructions, row)
        yield instructions, [one["text"], one["until"]]


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


def verify(engine: sa.Engine, directory: Path, needles: Needles, erased: Erased) -> Search:
    """Search every file under a store's folder, and all that SQL shows of a database elsewhere. Raises `StoreError` for
    a match that no live row explains.
    """
    count = size = rows = 0
    found: dict[bytes, set[str]] = {}
    holding: set[Path] = set()
    for file in files(directory):
        try:
            for raw in needles.within_file(file, short=file.name.startswith(DATABASE)):
                found.setdefault(raw, set()).add(str(file.relative_to(directory)))
                holding.add(file)
            size += file.stat().st_size
            count += 1
        except FileNotFoundError:  # another process removed it meanwhile
            continue
    for raw in needles.within(_statistics(engine)):
        found.setdefault(raw, set()).add("the statistics of the database")
    elsewhere = engine.dialect.name != "sqlite"
    left = set(found)
    if left or elsewhere:
        for block in _live_blocks(engine):
            live = needles.within(block.data)
            rows += block.rows
            if elsewhere and block.rows:
                for raw in live:
                    found.setdefault(raw, set())
            left -= live
            if not (left or elsewhere):
                break
        for file in holding:
            with contextlib.suppress(FileNotFoundError):
                left -= needles.within(surviving_text(file, erased))
    if left:
        names = sorted({name for raw in left for name in found[raw]})
        raise StoreError(
            f"{len(left)} of {len(needles)} erased texts are still found in {', '.join(names[:5])}: expected none; "
            "stop whatever else writes to the store, remove those files if they are caches, and open the store again"
        )
    return Search(len(needles), len(found), needles.skipped, count, size, rows if elsewhere else 0)


class _Block(NamedTuple):
    """Texts of live rows."""

    data: bytes
    rows: int


def _live_blocks(engine: sa.Engine) -> Iterator[_Block]:
    from penchant.store.erasure.residue import live_block

    with database.reading(engine) as connection:
        if engine.dialect.name == "sqlite":
            yield _Block(
                live_block(tuple(row) for row in connection.exec_driver_sql("SELECT sql FROM sqlite_master")), 0
            )
        names = [tuple(row) for row in connection.execute(sa.select(users.c.id))]
    yield _Block(live_block(names), len(names))
    block: list[tuple[Any, ...]] = []
    for row in chain.from_iterable(pages(engine, table) for table in (records, conversations, turns, instructions)):
        block.append(tuple(row.values()))
        if len(block) == _PAGE:
            yield _Block(live_block(block), len(block))
            block = []
    yield _Block(live_block(block), len(block))


def _statistics(engine: sa.Engine) -> bytes:
    """Return the values that PostgreSQL's planner keeps of the columns: samples of them, in the clear."""
    if engine.dialect.name != "postgresql":
        return b""
    columns = ", ".join(f"{name}::text" for name in ("most_common_vals", "histogram_bounds", "most_common_elems"))
    query = f"SELECT {columns} FROM pg_stats WHERE schemaname = current_schema() AND tablename = ANY(%s)"
    with database.reading(engine) as connection:
        found = connection.exec_driver_sql(query, ([table.name for table in metadata.sorted_tables],))
        return b"\xff".join(str(field).encode() for row in found for field in row if field)


def files(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.rglob("*")) if path.is_file() and not path.is_symlink())
