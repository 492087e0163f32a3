"""Helpers of the importers: opening files, streaming JSON arrays, parsing times."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from penchant.errors import InputError
from penchant.history.records import Record
from penchant.text.unicode import replace_surrogates

Pair = tuple[str, Record]
"""What an importer yields: a user id and one of the user's records."""

_CHUNK = 1 << 20


def need_user(user: str | None, what: str) -> str:
    """Return the given user id. Raises `InputError` if it is missing for a format of one person's data."""
    if not user:
        raise InputError(f"{what} belongs to one person: expected the id to store it under; pass user (--user ID)")
    return user


@contextmanager
def open_text(path: Path, encoding: str = "utf-8-sig") -> Iterator[TextIO]:
    """Open a text file for reading, with line ends unchanged. Errors while reading become `InputError`."""
    try:
        with path.open(encoding=encoding, newline="") as file:
            yield file
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}; expected a file; check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} is not {error.encoding.upper()} ({error.reason}); save it as UTF-8") from error


def json_items(path: Path) -> Iterator[Any]:
    """Yield the items of a file that is one JSON array; the file may be larger than memory."""
    with open_text(path) as file:
        yield from stream_items(file, path.name)


def stream_items(file: TextIO, name: str) -> Iterator[Any]:
    """Yield the items (objects or lists) of one JSON array. Raises `InputError` for anything else."""
    decoder = json.JSONDecoder()
    buffer, done = file.read(_CHUNK), False
    at = _skip(buffer, 0, " \t\r\n")
    if buffer[at : at + 1] != "[":
        raise InputError(f"{name} is no JSON array: expected a file that begins with '['; check the format")
    at, number = at + 1, 1
    while True:
        at = _skip(buffer, at, " \t\r\n,")
        if buffer[at : at + 1] == "]":
            return
        try:
            item, at = decoder.raw_decode(buffer, at)
        except (ValueError, RecursionError) as error:
            if done:
                raise InputError(
                    f"{name} item {number}: invalid JSON ({error}): the file is damaged or cut off"
                ) from None
            # Reading as much again keeps the work linear for items larger than a chunk.
            more = file.read(max(_CHUNK, len(buffer) - at))
            buffer, at, done = buffer[at:] + more, 0, not more
            continue
        yield replace_surrogates(item)
        number += 1


def read_json(path: Path) -> Any:
    """Read a whole JSON file. Raises `InputError` if that fails."""
    with open_text(path) as file:
        try:
            return replace_surrogates(json.load(file))
        except (ValueError, RecursionError) as error:
            if isinstance(error, UnicodeDecodeError):
                raise
            raise InputError(f"{path.name}: invalid JSON ({error}); expected a whole JSON file") from None


def parse_time(value: str) -> datetime | None:
    """Parse ISO 8601, YYYY, YYYY/MM/DD, or seconds since 1970; None for an empty string. Raises `ValueError`."""
    value = value.strip()
    if not value:
        return None
    if value.isdecimal() and len(value) == 4:
        return datetime(int(value), 1, 1, tzinfo=UTC)
    try:
        return datetime.fromisoformat(value.replace("/", "-"))
    except ValueError:
        try:
            return datetime.fromtimestamp(float(value), UTC)
        except (ValueError, OverflowError, OSError):
            raise ValueError(f"{value[:40]!r} is no time such as 2024-05-01 or 2024-05-01T10:00:00Z") from None


def _skip(text: str, at: int, characters: str) -> int:
    while at < len(text) and text[at] in characters:
        at += 1
    return at
