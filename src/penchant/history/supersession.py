"""Supersession: which of a user's statements about themselves have been replaced by later ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from penchant.history.records import Record
from penchant.text.terms import split_words

STATEMENT = "said"
"""The kind of records that are statements. Their meta may hold "about" (the topic), "value" (normalised, if only one
can be true at a time) and "ended" (the statement says that something is over).
"""

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
        # Something stays over until it is stated again; an end without a value ends everything on the topic.
        return (not self.words if self.ended else not old.words) or self.agrees(old)


def superseded(history: Iterable[Record]) -> dict[str, str]:
    """Map the id of each superseded statement to the id of the later one that replaced it or says that it is over.

    history: in time order. Computed from the records alone, so that an earlier statement is current again if the later
    one is erased. A statement that is not a key of the result is current. Each is superseded by the next one on its
    topic, at whose time the earlier one stopped being true.
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
    """Return the claim of a record; None if nothing can contradict it."""
    if record.kind != STATEMENT:
        return None
    value, ended = record.meta.get("value"), record.meta.get("ended") is True
    words = frozenset(split_words(value)) if isinstance(value, str) else frozenset()
    return _Claim(words, ended) if words or ended else None
