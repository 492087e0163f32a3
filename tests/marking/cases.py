"""Histories that the tests of markers share."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from penchant.history.records import History, Record, Segment

START = datetime(2023, 1, 5, 9, 30, tzinfo=UTC)


def history_of(texts: Iterable[str], days: int = 1) -> History:
    return History([Record(text, id=f"r{i}", when=START + timedelta(days=days * i)) for i, text in enumerate(texts)])


def whole_records(history: History) -> list[Segment]:
    return [Segment(i, r.id, 0, len(r.body), r.body) for i, r in enumerate(history)]


def halves(history: History) -> list[Segment]:
    """Two segments a record, cut at its middle."""
    found = []
    for i, record in enumerate(history):
        middle = len(record.body) // 2
        for start, end in ((0, middle), (middle, len(record.body))):
            found.append(Segment(i, record.id, start, end, record.body[start:end]))
    return found
