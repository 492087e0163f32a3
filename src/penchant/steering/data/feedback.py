"""Thumbs up and down on two answers to one input, as JSON Lines.

{"query": str, "task": str?, "up": str, "down": str, "when": ISO 8601?, "id": str?}
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, StrictStr, field_validator

from penchant.history.lines import numbered_lines, parse_line
from penchant.history.records import Request
from penchant.steering.data.contrast import Contrast
from penchant.steering.data.contrast_file import ContrastFile

_SHAPE = 'one object per line, such as {"query": "...", "up": "...", "down": "..."}'


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
    """Yield the contrasts of a feedback file: "up" is chosen, "down" rejected. Blank lines are skipped.

    Raises `InputError`, naming file and line, for a file that can't be read, invalid UTF-8 or JSON, a wrong type, an
    unknown or missing key, an empty text, or two equal answers.
    """
    path = Path(path)
    for number, raw in numbered_lines(path, "feedback"):
        yield parse_line(raw, f"{path.name} line {number}", _Line, _made, what="feedback", shape=_SHAPE)


def add_feedback(file: ContrastFile, path: str | Path) -> tuple[int, int]:
    """Add a feedback file to a user's contrasts, all of it or nothing. Returns how many are new, and how many were
    already there. Raises as `read_feedback` does.
    """
    known = {contrast.id for contrast in file.contrasts(["feedback"])}
    found = {contrast.id: contrast for contrast in read_feedback(path)}
    new = [contrast for name, contrast in found.items() if name not in known]
    file.append(new)
    return len(new), len(found) - len(new)


def _made(line: _Line) -> Contrast:
    meta = {"id": line.id} if line.id else {}
    return Contrast(Request(line.query, line.task), line.up, line.down, "feedback", when=line.when, meta=meta)
