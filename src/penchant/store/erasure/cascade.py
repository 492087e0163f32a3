"""The cascade of an erasure: removes data derived from erased records from the files that erasure/lineage.py
describes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from penchant.files import PART
from penchant.store.erasure.lineage import (
    FIRST,
    KEY,
    SHARED,
    SIDECAR,
    Source,
    is_user_folder,
    parse_source,
    replace_file,
    sidecar_of,
)
from penchant.store.location import EPISODES, INDEXES

_LENGTH = 8  # bytes in front of a safetensors header: its size, little endian
_NAMES = (".jsonl", ".safetensors", PART)
_CACHES = (INDEXES, EPISODES)


class Erased:
    """The sources being erased: whole users, or some of their records."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self.sources = frozenset(sources)
        self._whole = {source.user for source in self.sources if not source.record}
        self._users = {source.user for source in self.sources}
        self._needles = [user.encode() for user in sorted(self._users)]

    def covers(self, source: Source) -> bool:
        """Whether data with this source is to be erased. Data derived from a user as a whole goes with any of the
        records.
        """
        if source.user in self._whole or source in self.sources:
            return True
        return not source.record and source.user in self._users

    def covers_any(self, written: object) -> bool:
        """The same for a row's sources as written in a file. A row whose sources can't be read is erased too."""
        try:
            return not isinstance(written, list) or any(self.covers(parse_source(one)) for one in written)
        except ValueError:
            return True

    def may_occur_in(self, data: bytes) -> bool:
        """False if `data` names none of the sources. A quick test; files that pass it are read row by row."""
        return any(needle in data for needle in self._needles)


def erase_derived(directory: Path, erased: Erased) -> int:
    """Remove every row derived from the erased sources from all users' folders of a store, and the aggregates that they
    contributed to. All other rows stay byte for byte. Call it with the store's derived data locked.

    Returns how many rows were removed; an aggregate counts as one. Raises `OSError`.
    """
    count = 0
    for file in derived_files(directory):
        try:
            if file.name.endswith(PART):
                file.unlink()  # left by a killed writer: live ones wait for the lock
            elif file.suffix == ".jsonl":
                count += _from_lines(file, erased)
            elif file.suffix == ".safetensors":
                count += _from_tensors(file, erased)
        except FileNotFoundError:  # its user is being erased as well
            continue
    return count + _from_shared(directory / SHARED, erased)


def derived_files(directory: Path) -> Iterator[Path]:
    """Yield the files in users' folders that may hold derived rows, except those of indexes, which are written without
    the store's lock and hold nothing of other users.
    """
    for area in _folders(directory):
        if os.path.basename(area) in _CACHES:  # noqa: PTH119
            continue
        for folder in _folders(area):
            if is_user_folder(os.path.basename(folder)):  # noqa: PTH119 (thousands of times)
                for root, _, names in os.walk(folder):
                    yield from (Path(root, name) for name in sorted(names) if name.endswith(_NAMES))


def _folders(directory: Path | str) -> list[str]:
    with os.scandir(directory) as entries:
        return sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))


def surviving_text(file: Path, erased: Erased) -> bytes:
    """Yield the JSON Lines rows that remain: they name their sources, and none of these is erased."""
    if file.suffix != ".jsonl" or not any(is_user_folder(folder.name) for folder in file.parents):
        return b""
    lines = file.read_bytes().splitlines(keepends=True)
    return b"\xff".join(line for line in lines if line.startswith(FIRST) and not _goes(line, erased))


def _from_lines(file: Path, erased: Erased) -> int:
    data = file.read_bytes()
    torn = not data.endswith(b"\n") and data[data.rfind(b"\n") + 1 :].startswith(FIRST)
    if not torn and not erased.may_occur_in(data):
        return 0
    lines = data.splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(FIRST) or not _goes(line, erased)]
    if len(kept) < len(lines):
        replace_file(file, b"".join(kept))
    return len(lines) - len(kept)


def _goes(line: bytes, erased: Erased) -> bool:
    try:
        return erased.covers_any(json.loads(line)[KEY])
    except ValueError:  # cut short by a crash
        return True


def _from_tensors(file: Path, erased: Erased) -> int:
    with file.open("rb") as opened:
        size = int.from_bytes(opened.read(_LENGTH), "little")
        if size > file.stat().st_size:
            return 0
        raw = opened.read(size)
        if KEY.encode() not in raw or not erased.may_occur_in(raw):
            return 0
        try:
            header: dict[str, Any] = json.loads(raw)
            metadata = header.pop("__metadata__")
            rows = json.loads(metadata[KEY])
        except (ValueError, KeyError, TypeError):
            return 0  # another kind of file
        kept = [position for position, row in enumerate(rows) if not erased.covers_any(row)]
        if len(kept) == len(rows):
            return 0
        body = opened.read()
    whole = any(entry["shape"][:1] != [len(rows)] for entry in header.values())  # has no rows
    replace_file(file, b"" if whole or not kept else _only(header, metadata, rows, body, kept))
    return len(rows) - (0 if whole else len(kept))


def _only(header: dict[str, Any], metadata: dict[str, str], rows: list[Any], body: bytes, kept: list[int]) -> bytes:
    """Return a safetensors file with only some of its rows. Bytes are moved, never interpreted, so any dtype works."""
    entries: dict[str, Any] = {"__metadata__": {**metadata, KEY: json.dumps([rows[position] for position in kept])}}
    parts: list[bytes] = []
    at = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        start, end = entry["data_offsets"]
        width = (end - start) // len(rows)
        parts += [body[start + position * width : start + (position + 1) * width] for position in kept]
        stop = at + width * len(kept)
        entries[name] = {**entry, "shape": [len(kept), *entry["shape"][1:]], "data_offsets": [at, stop]}
        at = stop
    written = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    written += b" " * (-len(written) % 8)  # the format aligns its numbers
    return len(written).to_bytes(_LENGTH, "little") + written + b"".join(parts)


def _from_shared(folder: Path, erased: Erased) -> int:
    count = 0
    for file in sorted(folder.rglob("*")):
        if not file.is_file() or file.name.endswith(SIDECAR):
            continue
        try:
            written = json.loads(sidecar_of(file).read_bytes())
        except (FileNotFoundError, ValueError):
            written = None
        if erased.covers_any(written):
            file.unlink(missing_ok=True)
            count += 1
    for sidecar in sorted(folder.rglob(f"*{SIDECAR}")):
        if not sidecar.with_name(sidecar.name.removesuffix(SIDECAR)).exists():
            sidecar.unlink(missing_ok=True)
    return count
