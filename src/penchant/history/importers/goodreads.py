"""Goodreads library export (My Books, Import and export): one row per book."""

from __future__ import annotations

import csv
import html
import re
from collections.abc import Iterator
from pathlib import Path

from penchant.errors import InputError
from penchant.history.importers.importer import Importer
from penchant.history.importers.reading import Pair, need_user, open_text, parse_time
from penchant.history.records import Record

_NEEDED = ("Book Id", "Title", "Author", "My Rating")
_BREAK = re.compile(r"<br\s*/?>|</p>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")


def read(path: str | Path, *, user: str | None = None) -> Iterator[Pair]:
    """Yield one record per book; all belong to `user`.

    text: "Title by Author. Rated 4 of 5 stars.", then the review; label: the stars (none for an unrated book); when:
    the date read, else the date added; id: Goodreads' book number; kind "book"; meta: author, shelves, private notes.
    Raises `InputError` naming the columns that are missing.
    """
    owner = need_user(user, "a Goodreads export")
    path = Path(path)
    with open_text(path) as file:
        rows = csv.DictReader(file)
        header = rows.fieldnames or []
        missing = [column for column in _NEEDED if column not in header]
        if missing:
            exist = ", ".join(map(repr, header)) or "none"
            raise InputError(f"{path.name} has no column {', '.join(map(repr, missing))}: the columns are {exist}")
        for row in rows:
            try:
                yield owner, _record(row)
            except (ValueError, TypeError) as error:
                raise InputError(
                    f"{path.name} line {rows.line_num}: {error}; expected a Goodreads export row"
                ) from None


def _record(row: dict[str, str]) -> Record:
    stars = float(row["My Rating"] or 0)
    shelf = row.get("Exclusive Shelf") or ""
    title = f"{row['Title']} by {row['Author']}"
    verdict = f"Rated {stars:g} of 5 stars." if stars else f"On the shelf {shelf!r}." if shelf else ""
    review = plain(row.get("My Review") or "")
    shelves = [name.strip() for name in (row.get("Bookshelves") or shelf).split(",") if name.strip()]
    extra = {"author": row["Author"], "shelves": shelves, "notes": plain(row.get("Private Notes") or "")}
    return Record(
        "\n".join(part for part in (f"{title}. {verdict}".strip(), review) if part),
        id=row["Book Id"],
        label=stars or None,
        when=parse_time(row.get("Date Read") or row.get("Date Added") or ""),
        kind="book",
        meta={key: value for key, value in extra.items() if value},
    )


def plain(markup: str) -> str:
    """Return the text of simple HTML: line breaks are kept, other tags dropped."""
    return html.unescape(_TAG.sub("", _BREAK.sub("\n", markup))).strip()


IMPORTER = Importer(read, "Goodreads library export (csv)")
