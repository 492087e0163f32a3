"""Records of what a user said about themselves, and which of them a later one has replaced."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from weakref import WeakKeyDictionary

from penchant.history.records import History, Record
from penchant.history.words import split_words

SAID = "said"
"""The kind of these records. Their meta may hold "about" (what it is about), "value" (where only one can be true at a
time; normalised) and "ended" (it says that this is over)."""


@dataclass(frozen=True, slots=True)
class _Claim:
    record: Record
    words: frozenset[str]
    ended: bool

    def agrees(self, other: _Claim) -> bool:
        """ "Berlin" and "Berlin, Germany" don't contradict each other."""
        return self.words <= other.words or other.words <= self.words


_known: WeakKeyDictionary[History, MappingProxyType[str, str]] = WeakKeyDictionary()


def superseded(history: History) -> MappingProxyType[str, str]:
    """Id of a "said" record -> id of the later one that took its place, or that says it is over.

    Worked out from the records alone, so that without the later one the earlier one stands again. A record that is a
    value here and no key is what stands now. Each is followed by the one that came next, so that its time is when the
    earlier one stopped being true. Remembered as long as the history object lives.
    """
    known = _known.get(history)
    if known is None:
        known = _known[history] = MappingProxyType(_work_out(history))
    return known


def _work_out(records: Iterable[Record]) -> dict[str, str]:
    found: dict[str, str] = {}
    standing: dict[str, list[_Claim]] = {}
    for record in records:
        if record.kind != SAID:
            continue
        about = record.meta.get("about")
        claim = _claim(record)
        if not isinstance(about, str) or claim is None:
            continue
        earlier = standing.setdefault(about, [])
        found.update((one.record.id, record.id) for one in earlier if _replaces(claim, one))
        standing[about] = [*(one for one in earlier if not _replaces(claim, one)), claim]
    return found


def _claim(record: Record) -> _Claim | None:
    """None for a record that says nothing that could be contradicted."""
    value, ended = record.meta.get("value"), record.meta.get("ended") is True
    words = frozenset(split_words(value)) if isinstance(value, str) else frozenset()
    return _Claim(record, words, ended) if words or ended else None


def _replaces(new: _Claim, old: _Claim) -> bool:
    if new.ended == old.ended:
        return not new.ended and not new.agrees(old)
    # That something is over holds until it is said again; without a value, all of it is over.
    return (not new.words if new.ended else not old.words) or new.agrees(old)
