"""What becomes a record, and what ends one: turns with the records they should leave, and those that a later turn ends.

changes.jsonl was written before the mechanism. Each row is one user's turns, a month apart, all of one conversation;
half of the rows, drawn by a hash of the turns, is for tuning, the other half is only counted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from penchant.conversation.facts import records_of, superseded
from penchant.history.dialogue import Turn
from penchant.history.records import History
from penchant_lab.measures.labelled import HALVES, half_of, proportion

HERE = Path(__file__).parent
START = datetime(2026, 1, 10, 9, tzinfo=UTC)


@dataclass(frozen=True)
class Change:
    """records, retired: sentences of the turns that should become records, and those of them that a later one ends."""

    language: str
    kind: str
    half: str
    turns: tuple[str, ...]
    records: frozenset[str]
    retired: frozenset[str]


def read(path: Path = HERE / "changes.jsonl") -> list[Change]:
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        half = half_of("\n".join(row["turns"]))
        said, over = frozenset(row["records"]), frozenset(row["retired"])
        found.append(Change(row["language"], row["kind"], half, tuple(row["turns"]), said, over))
    return found


def outcome(row: Change) -> tuple[frozenset[str], frozenset[str]]:
    """The sentences that became records, and those that were ended."""
    records = [
        record
        for number, text in enumerate(row.turns)
        for record in records_of(Turn(2 * number, "user", text, START + timedelta(days=30 * number)), "made-up")
    ]
    named = {record.id: record.text for record in records}
    return frozenset(named.values()), frozenset(named[old] for old in superseded(History(records)))


def measure(rows: Sequence[Change]) -> dict[str, Any]:
    """By half and language: precision and recall of both, each [figure, low, high] with its 95 % Wilson interval."""
    languages = list(dict.fromkeys(row.language for row in rows))
    return {
        half: {
            name: _figures([row for row in rows if row.half == half and name in ("all", row.language)])
            for name in ("all", *languages)
        }
        for half in HALVES
    }


def _figures(rows: Sequence[Change]) -> dict[str, Any]:
    made: dict[str, Any] = {"rows": len(rows), "turns": sum(len(row.turns) for row in rows)}
    for name, at in (("becomes a record", 0), ("ends a record", 1)):
        right = found = wanted = 0
        for row in rows:
            got, true = outcome(row)[at], (row.records, row.retired)[at]
            hits = sum(any(same(one, other) for other in got) for one in true)
            right, found, wanted = right + hits, found + len(got), wanted + len(true)
        made[name] = {
            "found": found,
            "wanted": wanted,
            "precision": proportion(right, found),
            "recall": proportion(right, wanted),
        }
    return made


def errors(rows: Sequence[Change]) -> None:
    """Print what is wrong in the given rows."""
    for row in rows:
        for name, got, true in zip(("record", "end"), outcome(row), (row.records, row.retired), strict=True):
            for one in sorted(true):
                if not any(same(one, other) for other in got):
                    print(f"{row.language} {row.kind}: no {name}: {one!r} in {row.turns}")
            for one in sorted(got):
                if not any(same(one, other) for other in true):
                    print(f"{row.language} {row.kind}: wrong {name}: {one!r} in {row.turns}")


def table(result: dict[str, Any]) -> list[str]:
    lines = [
        "",
        "## Changes",
        "",
        "What becomes a record, and what ends one (changes.jsonl), with 95 % Wilson intervals.",
        "",
        "| half | language | turns | records | precision | recall | ends | precision | recall |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for half, languages in result.items():
        for name, row in languages.items():
            cells = [
                f"{row[key]['wanted']} | {_say(row[key]['precision'])} | {_say(row[key]['recall'])}"
                for key in ("becomes a record", "ends a record")
            ]
            lines.append(f"| {half} | {name} | {row['turns']} | {' | '.join(cells)} |")
    return lines


def same(one: str, other: str) -> bool:
    """Half of both is shared: the same sentence, but perhaps cut differently."""
    short, long = sorted((one, other), key=len)
    return short in long and 2 * len(short) >= len(long)


def _say(figure: list[float] | None) -> str:
    return "" if figure is None else "{:.2f} [{:.2f}, {:.2f}]".format(*figure)
