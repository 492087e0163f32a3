"""Penchant's own history file (JSON Lines). See history/jsonl.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from penchant.history.importers.importer import Importer
from penchant.history.importers.reading import Pair, need_user
from penchant.history.jsonl import read_records


def read(path: str | Path, *, user: str | None = None) -> Iterator[Pair]:
    """Yield the records of a history file; all belong to `user`."""
    owner = need_user(user, "a history file")
    return ((owner, record) for record in read_records(path))


IMPORTER = Importer(read, "Penchant's history file, JSON Lines")
