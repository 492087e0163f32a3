"""Searches the bytes of files for remains of erased texts.

For each text (a record's text, reply, string label, and every string in its meta), these are searched for:
- each run of 8 consecutive words, byte for byte as in the text, and again as JSON would write it when that differs.
  Words are separated by white space; a run of over 32 characters without any (scripts that don't use spaces) counts
  as one word per 8 characters;
- a text of fewer than 8 words as a whole, if it has at least 15 bytes;
- a whole text of 8 to 14 bytes in the database files only: elsewhere (key names in a header) it would occur by chance.
Whole texts under 8 bytes ("ok", "yes") are not searched for: they occur in any file by chance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

WORDS = 8
LONG = 15  # bytes; eight one-letter words and the spaces between them
SHORT = 8
_CHUNK = 1 << 22
_BITS = 22
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))
_WORD = re.compile(r"\S{1,32}(?!\S)|\S{8}")

Words64 = npt.NDArray[np.uint64]


def texts_in(value: object) -> Iterator[str]:
    """Yield all strings in a record's field: the value itself, or those in its lists and objects."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from texts_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item)


def grams(text: str) -> Iterator[str]:
    """Yield the byte strings to search for of one text (see above), whatever their size."""
    spans = [match.span() for match in _WORD.finditer(text)]
    if 0 < len(spans) < WORDS:
        yield text[spans[0][0] : spans[-1][1]]
    for first, last in zip(spans, spans[WORDS - 1 :], strict=False):
        yield text[first[0] : last[1]]


class Needles:
    """A set of byte strings (at least `SHORT` bytes each), searched for in a file in one pass.

    Each is represented by a 64-bit hash of its first 15 (or 8) bytes; every offset of the file is looked up in a bitmap
    of 2^22 bits, and the few offsets that pass are compared in full.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        skipped: set[bytes] = set()
        self._width = {LONG: _Table(LONG), SHORT: _Table(SHORT)}
        for text in texts:
            for gram in grams(text):
                raw = gram.encode("utf-8", "replace")
                if len(raw) < SHORT:
                    skipped.add(raw)
                    continue
                table = self._width[LONG if len(raw) >= LONG else SHORT]
                table.add(raw, raw)
                for ascii_only in (False, True):
                    table.add(json.dumps(gram, ensure_ascii=ascii_only)[1:-1].encode("utf-8", "replace"), raw)
        self.skipped = len(skipped)
        """How many different texts are too short to be searched for."""

    def __len__(self) -> int:
        return sum(len(table.known) for table in self._width.values())

    def within(self, data: bytes, short: bool = True) -> set[bytes]:
        """Return which of them occur in `data`. `short`: also those under 15 bytes."""
        found = self._width[LONG].within(data)
        return found | self._width[SHORT].within(data) if short else found

    def within_file(self, path: Path, short: bool) -> set[bytes]:
        """Return which of them occur in a file, read in pieces that overlap by the length of the longest."""
        overlap = max(table.longest for table in self._width.values()) - 1
        found: set[bytes] = set()
        tail = b""
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                data = tail + chunk
                found |= self.within(data, short)
                tail = data[-overlap:] if overlap > 0 else b""
        return found


class _Table:
    def __init__(self, width: int) -> None:
        self.known: dict[bytes, bytes] = {}  # as written in a file -> as in the text
        self.longest = 1
        self._width = width
        self._by_hash: dict[int, list[bytes]] | None = None
        self._marks = np.zeros(1 << _BITS, dtype=bool)

    def add(self, written: bytes, raw: bytes) -> None:
        self.known.setdefault(written, raw)
        self.longest = max(self.longest, len(written))
        self._by_hash = None

    def within(self, data: bytes) -> set[bytes]:
        if not self.known or len(data) < self._width:
            return set()
        index = self._index()
        hashes = self._hashes(data)
        found: set[bytes] = set()
        for offset in np.flatnonzero(self._marks[hashes >> np.uint64(64 - _BITS)]).tolist():
            for written in index.get(int(hashes[offset]), ()):
                if data.startswith(written, offset):
                    found.add(self.known[written])
        return found

    def _index(self) -> dict[int, list[bytes]]:
        if self._by_hash is None:
            self._by_hash = {}
            heads = b"".join(written[: self._width] for written in self.known)
            hashes = self._hashes(heads)[:: self._width]
            for written, value in zip(self.known, hashes.tolist(), strict=True):
                self._by_hash.setdefault(value, []).append(written)
            self._marks[:] = False
            self._marks[hashes >> np.uint64(64 - _BITS)] = True
        return self._by_hash

    def _hashes(self, data: bytes) -> Words64:
        """Return uint64 [len(data) - width + 1]: a hash of the `width` bytes from each offset on."""
        eight: Words64 = np.ndarray(shape=(len(data) - 7,), dtype="<u8", buffer=data, strides=(1,))
        if self._width == SHORT:
            return eight * _MIX[0]
        rest = self._width - 8
        return (eight[:-rest] * _MIX[0] ^ eight[rest:]) * _MIX[1]


def live_block(rows: Iterable[tuple[Any, ...]]) -> bytes:
    """Return the fields of rows as one block of bytes, separated by a byte that UTF-8 never uses."""
    return b"\xff".join(
        field.encode("utf-8", "replace") for row in rows for field in row if isinstance(field, str) and field
    )
