"""CSV: a table with a header line, one record per row; options name the columns."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from penchant.errors import InputError
from penchant.history.importers.importer import Importer
from penchant.history.importers.reading import Pair, open_text, parse_time
from penchant.history.records import Record

_LARGEST_CELL = 1 << 28
_FIELDS = ("text", "reply", "label", "when", "kind", "id", "user")


def read(
    path: str | Path,
    *,
    user: str | None = None,
    text_column: str = "text",
    reply_column: str | None = None,
    label_column: str | None = None,
    when_column: str | None = None,
    kind_column: str | None = None,
    id_column: str | None = None,
    user_column: str | None = None,
    delimiter: str = ",",
    skip_empty: bool = False,
) -> Iterator[Pair]:
    """Yield one record per row. A field whose column isn't named is taken from the column of its own name ("reply",
    "label", ...), if there is one; other columns go into `meta` as text. A label that is a number becomes one; a time
    is ISO 8601, YYYY/MM/DD or seconds since 1970. The user is `user`, or read from `user_column` (with both: only that
    user's rows). skip_empty: skip rows without text instead of raising. Raises `InputError` naming missing and existing
    columns, or the line of a bad row.
    """
    path = Path(path)
    asked = (text_column, reply_column, label_column, when_column, kind_column, id_column, user_column)
    if len(delimiter) != 1:
        raise InputError(f"the delimiter {delimiter!r} can't be used: expected one character, such as ',' or ';'")
    csv.field_size_limit(max(_LARGEST_CELL, csv.field_size_limit()))
    with open_text(path) as file:
        rows = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next(rows, [])
            column_of = _columns_of(path.name, header, dict(zip(_FIELDS, asked, strict=True)))
            if not user and "user" not in column_of:
                raise InputError(f"{path.name} has no column with the user: pass user (--user ID), or user_column")
            rest = [i for i in range(len(header)) if i not in column_of.values()]
            for row in rows:
                at = column_of["text"]
                if not row or (skip_empty and not "".join(row[at : at + 1]).strip()):
                    continue
                with _line_named(path.name, rows.line_num):
                    owner, record = _record(header, row, column_of, rest)
                if owner is None or not user or owner == user:
                    yield owner or user or "", record
        except csv.Error as error:
            raise InputError(f"{path.name} line {rows.line_num}: {error}; expected a CSV row; fix the line") from None


def _columns_of(name: str, header: Sequence[str], asked: dict[str, str | None]) -> dict[str, int]:
    missing = {field: column for field, column in asked.items() if column and column not in header}
    if missing:
        lacking = " and no column ".join(f"{column!r} for the {field}" for field, column in missing.items())
        options = " and ".join(f"{field}_column=NAME" for field in missing)
        other = next((mark for mark in ";\t|" if len(header) == 1 and mark in header[0]), "")
        advice = f"is the delimiter {other!r}? Set delimiter={other!r}" if other else f"name the right one: {options}"
        raise InputError(
            f"{name} has no column {lacking}: its columns are {', '.join(map(repr, header)) or 'none'}; {advice} (on "
            "the command line: -o KEY=VALUE)"
        )
    named = {field: column or field for field, column in asked.items()}
    return {field: header.index(column) for field, column in named.items() if column in header}


@contextmanager
def _line_named(name: str, line: int) -> Iterator[None]:
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise InputError(f"{name} line {line}: {error}; fix or remove the row") from None


def _record(
    header: Sequence[str], row: Sequence[str], column_of: dict[str, int], rest: Sequence[int]
) -> tuple[str | None, Record]:
    if len(row) != len(header):
        raise ValueError(f"{len(row)} cells under {len(header)} columns")
    cells = {field: row[i] for field, i in column_of.items()}
    if "user" in column_of and not cells["user"]:
        raise ValueError("the user is empty")
    record = Record(
        cells["text"],
        id=cells.get("id", ""),
        reply=cells.get("reply") or None,
        label=_label(cells.get("label", "")),
        when=parse_time(cells.get("when", "")),
        kind=cells.get("kind") or None,
        meta={header[i]: row[i] for i in rest if row[i]},
    )
    return cells.get("user"), record


def _label(cell: str) -> float | str | None:
    try:
        number = float(cell)
    except ValueError:
        return cell or None
    return number if math.isfinite(number) else cell


IMPORTER = Importer(read, "a table; options name its columns", several_users=True)
