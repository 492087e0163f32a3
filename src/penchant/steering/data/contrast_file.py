"""A user's contrasts on disk: JSON Lines, one line per contrast, and one for each record that gave none.

They are in `store.user_dir("contrasts", user)`, or for a history file in any folder. Lines name their sources (see
store/erasure/lineage.py), so that erasing a donor, or one of the user's own records, removes exactly its lines.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from penchant.errors import InputError, StoreError
from penchant.history.records import Request
from penchant.steering.data.contrast import Contrast
from penchant.store.erasure.lineage import (
    KEY,
    Source,
    Still,
    append_lines,
    derived_line,
    keep_lines,
    parse_source,
    source_of,
)

FILE = "contrasts.jsonl"
AREA = "contrasts"
"""The area of a store: `store.user_dir(AREA, user)` is the folder."""


@dataclass(frozen=True)
class Dropped:
    """A record that gave no contrast, with the reason. donors: as in `Contrast`."""

    record: str
    reason: str
    donors: tuple[tuple[str, str], ...] = ()
    meta: dict[str, Any] = field(default_factory=dict)


Entry = Contrast | Dropped


class ContrastFile:
    """The contrasts of one user. folder: created on the first write. Several processes may append."""

    def __init__(self, folder: Path, user: str) -> None:
        self.path, self.user = Path(folder) / FILE, user

    def contrasts(self, sources: Collection[str] | None = None) -> list[Contrast]:
        """Return all contrasts in the order they were added, or those from some sources ("others", "none", "feedback").
        Raises `StoreError`, naming the line, for a file with foreign lines.
        """
        return [
            entry
            for entry in self.entries()
            if isinstance(entry, Contrast) and (sources is None or entry.source in sources)
        ]

    def entries(self) -> list[Entry]:
        """Return contrasts and dropped records. A last line that a crash cut short is skipped."""
        return [_parse(line, f"{self.path.name} line {number}") for number, line in self._lines()]

    def append(self, entries: Sequence[Entry], still: Still | None = None) -> list[bool]:
        """Append entries, on disk when this returns; those that `still` refuses under the lock are left out (see
        store/erasure/lineage.py). Returns which were written. Raises `StoreError` if the file can't be written.
        """
        return append_lines(self.path, [self._line(entry) for entry in entries], still) if entries else []

    def remove(self, unwanted: Callable[[Entry], bool]) -> int:
        """Remove entries; the others stay byte for byte. Returns how many were removed."""

        def wanted(line: bytes) -> bool:
            return not unwanted(_parse(line, self.path.name))

        return keep_lines(self.path, wanted)

    def sources(self, entry: Entry) -> list[Source]:
        """Return the sources of an entry and of every vector made from it: the user's own record, then the donors."""
        own = [source_of(self.user, entry.record)] if entry.record else []
        try:
            return own + [parse_source(str(Source(*donor))) for donor in entry.donors]
        except (TypeError, ValueError):
            raise InputError("a contrast whose donors aren't hashes: expected those that source_of makes") from None

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{self.path} can't be read ({error.strerror or error}): make it readable") from error
        yield from enumerate(data.split(b"\n")[:-1], 1)  # after the last line end: nothing, or an incomplete line

    def _line(self, entry: Entry) -> str:
        fields: dict[str, Any] = {"record": entry.record}
        if isinstance(entry, Contrast):
            fields |= {"query": entry.request.query, "task": entry.request.task}
            fields |= {"chosen": entry.chosen, "rejected": entry.rejected, "source": entry.source}
            fields |= {"when": entry.when.isoformat() if entry.when else None}
        else:
            fields |= {"dropped": entry.reason}
        try:
            return derived_line({**fields, "meta": dict(entry.meta)}, self.sources(entry))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"a contrast of record {entry.record!r} can't be stored ({error}): expected finite numbers, and only "
                "text, numbers, lists and objects in its meta"
            ) from None


def _parse(raw: bytes, where: str) -> Entry:
    try:
        line = json.loads(raw)
        sources = tuple(parse_source(one) for one in line[KEY])
        record, meta = str(line["record"]), dict(line["meta"])
        donors = sources[1:] if record else sources
        if "dropped" in line:
            return Dropped(record, str(line["dropped"]), donors, meta)
        return Contrast(
            request=Request(line["query"], line["task"]),
            chosen=line["chosen"],
            rejected=line["rejected"],
            source=line["source"],
            record=record,
            when=datetime.fromisoformat(line["when"]) if line["when"] else None,
            donors=donors,
            meta=meta,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{where} isn't what Penchant wrote ({type(error).__name__}: {error}): remove the line"
        ) from error
