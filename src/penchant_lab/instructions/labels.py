"""The labelled turns, and the instructions in them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FRESH = HERE / "fresh.jsonl"
PROBED = HERE / "probed.jsonl"
"""Sentences that the probe alone is fitted on: requests for one answer, rules in texts, roundabout instructions."""
REQUESTS = HERE / "requests.jsonl"
"""Turns without an instruction, by somebody who had seen neither patterns nor sets. Every second was looked at."""
SIXTH = HERE / "dutch.jsonl"
"""Turns in a language without a table, labelled before anything was measured on them."""
Row = dict[str, Any]


def rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def of(part: str, written: str | None, data: Iterable[Row]) -> list[Row]:
    return [row for row in data if row["part"] == part and written in (None, row["written"])]


def spans(row: Row) -> list[tuple[int, int]]:
    starts = [row["text"].index(one["text"]) for one in row["standing"]]
    return [(start, start + len(one["text"])) for start, one in zip(starts, row["standing"], strict=True)]
