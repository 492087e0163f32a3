"""How well the dates of a request are found: requests.jsonl, written before it was measured, with requests that have
none.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penchant.text.dates import TimeExpression, time_expressions
from penchant_lab.dates.planted import NOW
from penchant_lab.measures.labelled import HALVES, half_of, proportion


@dataclass(frozen=True)
class Labelled:
    """dates: "2026-01-12..2026-01-13" (the second isn't in it; either may be open), "first" or "last"."""

    language: str
    half: str
    text: str
    dates: tuple[str, ...]


def read(path: Path = Path(__file__).parent / "requests.jsonl") -> list[Labelled]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Labelled(
            row["language"],
            half_of(row["text"]),
            row["text"],
            tuple(row["dates"]),
        )
        for row in rows
    ]


def written(one: TimeExpression) -> str:
    """A date as the labels write it."""
    if one.order is not None:
        return one.order
    start, end = (f"{when:%Y-%m-%d}" if when else "" for when in (one.start, one.end))
    return f"{start}..{end}"


def measure(rows: Sequence[Labelled]) -> dict[str, Any]:
    """By half and language: precision and recall of dates that are exactly right, with 95 % Wilson intervals."""
    languages = list(dict.fromkeys(row.language for row in rows))
    return {
        half: {
            name: _figures([row for row in rows if row.half == half and name in ("all", row.language)])
            for name in ("all", *languages)
        }
        for half in HALVES
    }


def errors(rows: Sequence[Labelled]) -> None:
    """Print the rows that are read wrongly."""
    for row in rows:
        got = _found(row)
        if got != row.dates:
            print(f"{row.language} {row.text!r}: {got} for {row.dates}")


def _found(row: Labelled) -> tuple[str, ...]:
    return tuple(written(one) for one in time_expressions(row.text, NOW))


def _figures(rows: Sequence[Labelled]) -> dict[str, Any]:
    found = {row.text: _found(row) for row in rows}
    right = sum(len(set(found[row.text]) & set(row.dates)) for row in rows)
    got, wanted = sum(map(len, found.values())), sum(len(row.dates) for row in rows)
    return {
        "requests": len(rows),
        "dates": wanted,
        "precision": proportion(right, got),
        "recall": proportion(right, wanted),
    }
