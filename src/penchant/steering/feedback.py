"""Thumbs up and down on two answers to one input, as JSON Lines.

{"query": str, "task": str?, "up": str, "down": str, "when": ISO 8601?, "id": str?}
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict, StrictStr, ValidationError, field_validator

from penchant.errors import InputError
from penchant.history.records import Request
from penchant.history.surrogates import without_surrogates
from penchant.steering.contrast import Contrast
from penchant.steering.contrast_file import ContrastFile

_SHAPE = 'one object a line, such as {"query": "...", "up": "...", "down": "..."}'


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    query: StrictStr
    up: StrictStr
    down: StrictStr
    task: StrictStr | None = None
    when: datetime | None = None
    id: StrictStr | None = None

    @field_validator("when", mode="before")
    @classmethod
    def _iso_8601(cls, value: object) -> datetime | None:
        if value is None:
            return None
        try:
            when = datetime.fromisoformat(value if isinstance(value, str) else "")
            return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValueError("a time is an ISO 8601 string such as 2024-05-01T10:00:00Z") from None


def read_feedback(path: str | Path) -> Iterator[Contrast]:
    """The contrasts of a feedback file, one by one: "up" is chosen, "down" rejected. Blank lines are passed over.

    Raises `InputError` naming file and line: unreadable, no UTF-8, no JSON, a wrong type, an unknown or missing key, an
    empty text, or two answers that are the same.
    """
    path = Path(path)
    try:
        with path.open("rb") as lines:  # bytes: only \n ends a line
            for number, raw in enumerate(lines, 1):
                line = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
                if line.strip():
                    yield _parse(line, f"{path.name} line {number}")
    except OSError as error:
        raise InputError(
            f"{path} can't be read: {error.strerror or error}; expected a feedback file (JSON Lines)"
        ) from error


def add_feedback(file: ContrastFile, path: str | Path) -> tuple[int, int]:
    """Adds a feedback file to a user's contrasts, all of it or nothing. Returns how many are new, and how many were
    there already. Raises as `read_feedback` does."""
    known = {contrast.id for contrast in file.contrasts(["feedback"])}
    found = {contrast.id: contrast for contrast in read_feedback(path)}
    new = [contrast for name, contrast in found.items() if name not in known]
    file.append(new)
    return len(new), len(found) - len(new)


def _parse(raw: bytes, where: str) -> Contrast:
    def fail(what: str) -> NoReturn:
        raise InputError(f"{where}: {what}: expected {_SHAPE}; fix or remove the line") from None

    try:
        fields: Any = without_surrogates(json.loads(raw.rstrip(b"\r\n").decode("utf-8")))
    except UnicodeDecodeError as error:
        fail(f"not UTF-8 at byte {error.start + 1}")
    except json.JSONDecodeError as error:
        fail(f"invalid JSON ({error.msg}, column {error.colno})")
    except (ValueError, RecursionError) as error:
        fail(f"invalid JSON ({error})")
    if not isinstance(fields, dict):
        fail(f"invalid feedback (a JSON {type(fields).__name__})")
    try:
        line = _Line.model_validate(fields)
        meta = {"id": line.id} if line.id else {}
        return Contrast(Request(line.query, line.task), line.up, line.down, "feedback", when=line.when, meta=meta)
    except ValidationError as error:
        problem = error.errors()[0]
        fail(f"invalid feedback ({problem['loc'][0]}: {problem['msg'].removeprefix('Value error, ')})")
    except InputError as error:
        fail(f"invalid feedback ({error})")
