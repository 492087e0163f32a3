"""History files: JSON Lines, one record per line.

{"text": str, "reply": str?, "label": number|str?, "when": ISO 8601?, "kind": str?, "id": str?, "meta": object?,
"private": bool?}

"private" stands in the record's meta: nothing of a private record is sent to another machine (`penchant.sharing`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, StrictBool, StrictFloat, StrictInt, StrictStr, field_validator

from penchant import arguments
from penchant.errors import InputError
from penchant.files import atomic_write, unwritable
from penchant.history.lines import numbered_lines, parse_line
from penchant.history.records import History, Record

_SHAPE = 'one object per line, such as {"text": "...", "when": "2024-05-01T10:00:00Z"}'


class RecordLine(BaseModel):
    """The keys of a line."""

    model_config = ConfigDict(extra="forbid")

    text: StrictStr = ""
    reply: StrictStr | None = None
    label: StrictInt | StrictFloat | StrictStr | None = None
    when: datetime | None = None
    kind: StrictStr | None = None
    id: StrictStr | None = None
    meta: dict[str, Any] | None = None
    private: StrictBool | None = None

    @field_validator("label")
    @classmethod
    def _finite(cls, value: int | float | str | None) -> int | float | str | None:
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("must be a finite number")  # 1e999 is valid JSON
        return value

    @field_validator("when", mode="before")
    @classmethod
    def _iso_8601(cls, value: object) -> datetime | None:
        if value is None or isinstance(value, datetime):
            return value
        if not isinstance(value, str):
            raise ValueError("a time is an ISO 8601 string such as 2024-05-01T10:00:00Z")
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{value[:40]!r} is no ISO 8601 time such as 2024-05-01T10:00:00Z") from None


def read_records(path: str | Path) -> Iterator[Record]:
    """Yield the records of a history file. Blank lines and a byte-order mark are skipped.

    Records without an id that are equal in everything else are yielded once, since their ids would be the same. Raises
    `InputError`, naming file and line, for a file that can't be read, invalid UTF-8 or JSON, a wrong type, an unknown
    key, a missing text, or a repeated id.
    """
    path = Path(path)
    seen: dict[str, int] = {}
    for number, raw in numbered_lines(path, "history"):
        where = f"{path.name} line {number}"
        record, named = parse_line(raw, where, RecordLine, _made, what="record", shape=_SHAPE)
        first = seen.setdefault(record.id, number)
        if first == number:
            yield record
        elif named:
            raise InputError(
                f"{path.name} line {number}: the id {record.id!r} is already on line {first}: "
                "expected each id once; change or remove one of the two lines"
            )


@arguments.checked
def load_history(path: str | Path, user: str = "") -> History:
    """Read a whole history file. Raises `InputError` as `read_records` does, and for a file without records."""
    history = History(read_records(path), user)
    if not len(history):
        raise InputError(f"{Path(path).name} is empty: expected {_SHAPE}; add at least one record")
    return history


def to_line(record: Record) -> str:
    """Return one record as a line of JSON without line end; reading it gives an equal record."""
    fields: dict[str, Any] = {"id": record.id, "text": record.text, "reply": record.reply, "label": record.label}
    fields |= {"when": record.when.isoformat() if record.when else None, "kind": record.kind}
    fields |= {"meta": dict(record.meta) or None}
    kept = {key: value for key, value in fields.items() if value is not None}
    try:
        return json.dumps(kept, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"record {record.id!r} can't be written as JSON ({error}): expected finite numbers, and only "
            "text, numbers, lists and objects in its meta; change the record"
        ) from None


def parse_records(text: str) -> list[Record]:
    """Return the records of a text: a JSON object, a list of objects, or JSON Lines, with the keys of a history file.
    Raises `InputError` that names the record and the problem.
    """
    try:
        given = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        raws = [line for line in text.split("\n") if line.strip()]  # other line ends may stand in a text
    else:
        raws = [json.dumps(one) for one in (given if isinstance(given, list) else [given])]
    if not raws:
        raise InputError(f"there is no record: expected {_SHAPE}, a list of objects, or one object")
    return [
        parse_line(raw.encode(), f"record {number}", RecordLine, line_record, what="record", shape=_SHAPE)
        for number, raw in enumerate(raws, 1)
    ]


def write_records(path: str | Path, records: Iterable[Record]) -> int:
    """Write a history file, completely or not at all. Returns the number of records. See `write_lines`."""
    return write_lines(path, map(to_line, records))


def write_lines(path: str | Path, lines: Iterable[str]) -> int:
    """Write lines to a file, atomically: after an error the file is as it was before.

    Returns the number of lines. Raises `InputError` if the file can't be written.
    """
    path = Path(path)
    count = 0
    try:
        with atomic_write(path) as part, part.open("w", encoding="utf-8", newline="\n") as out:
            for line in lines:
                out.write(line + "\n")
                count += 1
    except OSError as error:
        raise unwritable(path, error) from error
    return count


def line_record(line: RecordLine) -> Record:
    """Return the record of a line. Raises `InputError`."""
    meta = {**(line.meta or {}), **({"private": line.private} if line.private is not None else {})}
    return Record(line.text, line.id or "", line.reply, line.label, line.when, line.kind, meta)


def _made(line: RecordLine) -> tuple[Record, bool]:
    """Return the record, and whether the line contains its id."""
    return line_record(line), bool(line.id)
