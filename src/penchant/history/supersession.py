"""Which statements of a user about themselves a later one has superseded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from penchant.history.records import Record
from penchant.text.terms import split_words

STATEMENT = "said"
"""The kind of records that are statements. Their meta may hold "about" (the topic), "value" (normalised, if only one
can be true at a time) and "ended" (the statement says that this is over)."""

_MAX_ENDED = 64  # ended claims remembered for each topic: keeps a long history linear


@dataclass(frozen=True, slots=True)
class _Claim:
    words: frozenset[str]
    ended: bool

    def agrees(self, other: _Claim) -> bool:
        """ "Berlin" and "Berlin, Germany" don't contradict each other."""
        return self.words <= other.words or other.words <= self.words

    def replaces(self, old: _Claim) -> bool:
        if self.ended == old.ended:
            return not self.ended and not self.agrees(old)
        # That something is over holds until it is stated again; without a value, everything of the topic is over.
        return (not self.words if self.ended else not old.words) or self.agrees(old)


def superseded(history: Iterable[Record]) -> dict[str, str]:
    """Id of a statement -> id of the later one that superseded it, or that says it is over.

    history: in time order. Computed from the records alone, so that the earlier statement is current again if the later
    one is erased. A record that is a value here and not a key is current. Each is superseded by the next one, whose
    time is when the earlier one stopped being true.
    """
    found: dict[str, str] = {}
    current: dict[str, dict[_Claim, list[str]]] = {}
    for record in history:
        about, claim = record.meta.get("about"), _claim(record)
        if claim is None or not isinstance(about, str):
            continue
        known = current.setdefault(about, {})
        for old in [one for one in known if claim.replaces(one)]:
            found.update(dict.fromkeys(known.pop(old), record.id))
        known.setdefault(claim, []).append(record.id)
        if len(known) > _MAX_ENDED:
            del known[next(one for one in known if one.ended)]
    return found


def _claim(record: Record) -> _Claim | None:
    """None for a record that nothing can contradict."""
    if record.kind != STATEMENT:
        return None
    value, ended = record.meta.get("value"), record.meta.get("ended") is True
    words = frozenset(split_words(value)) if isinstance(value, str) else frozenset()
    return _Claim(words, ended) if words or ended else None
