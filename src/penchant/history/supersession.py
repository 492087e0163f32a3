"""Supersession: which of a user's statements about themselves have been replaced by later ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from penchant.history.records import Record
from penchant.text.terms import split_words

STATEMENT = "said"
"""The kind of records that are statements. Their meta may hold "about" (the topic), "value" (normalised, if only one
can be true at a time) and "ended" (the statement says that something is over), and "claim": what it says and what it
denies, in words ("words", "over", "denies", "again").
"""

_MAX_ENDED = 64  # ended values remembered for each topic, and denials: keeps a long history linear

Words = frozenset[str]


def superseded(history: Iterable[Record]) -> dict[str, str]:
    """Map the id of each superseded statement to the id of the later one that replaced it or says that it is over.

    history: in time order. Two statements contradict each other if they give one topic different values, or if one
    denies what the other says. Computed from the records alone, so that an earlier statement is current again if the
    later one is erased. A statement that is not a key of the result is current. Each is superseded by the next one that
    contradicts it, at whose time the earlier one stopped being true.
    """
    found: dict[str, str] = {}
    topics, claims = _Topics(), _Claims()
    for record in history:
        if record.kind == STATEMENT:
            for old in (*topics.end(record), *claims.end(record)):
                found.setdefault(old, record.id)
    return found


@dataclass(frozen=True, slots=True)
class _Value:
    words: Words
    ended: bool

    def agrees(self, other: _Value) -> bool:
        """ "Berlin" and "Berlin, Germany" don't contradict each other."""
        return self.words <= other.words or other.words <= self.words

    def replaces(self, old: _Value) -> bool:
        if self.ended == old.ended:
            return not self.ended and not self.agrees(old)
        # Something stays over until a value is stated again; an end without a value ends everything on the topic.
        if self.ended:
            return not self.words or (bool(old.words) and self.agrees(old))
        return bool(self.words) and (not old.words or self.agrees(old))


@dataclass
class _Topics:
    """The current values of each topic."""

    current: dict[str, dict[_Value, list[str]]] = field(default_factory=dict)

    def end(self, record: Record) -> list[str]:
        """Add a statement, and return the ids of those that it ends."""
        about, value, ended = (record.meta.get(key) for key in ("about", "value", "ended"))
        if not isinstance(about, str):
            return []
        new = _Value(_words(value), ended is True)
        known = self.current.setdefault(about, {})
        gone = [name for old in [one for one in known if new.replaces(one)] for name in known.pop(old)]
        known.setdefault(new, []).append(record.id)
        if len(known) > _MAX_ENDED and (over := next((one for one in known if one.ended), None)):
            del known[over]
        return gone


@dataclass
class _Claims:
    """What is said and denied, in words, one of which is the subject ("@", "@brother"). What denies less ends what says
    more: "I don't smoke any more" ends "I smoke ten a day", but not the other way round. Where nothing says that it is
    a change, only the same words contradict each other.
    """

    said: dict[str, Words] = field(default_factory=dict)  # by id
    having: dict[str, dict[str, None]] = field(default_factory=dict)  # word -> ids
    denied: dict[str, list[Words]] = field(default_factory=dict)  # by id

    def end(self, record: Record) -> list[str]:
        """Add a statement, and return the ids of those that it ends."""
        claim = record.meta.get("claim")
        if not isinstance(claim, Mapping):
            return []
        words = next(iter(_split([claim.get("words")])), None)
        over, denies = _split(claim.get("over")), _split(claim.get("denies"))
        gone = {name: None for one in over for name in self._with(one)}
        gone.update((name, None) for one in denies for name in self._with(one) if self.said[name] == one)
        for name in gone:
            for word in self.said.pop(name):
                del self.having[word][name]
        if words is None:
            self.denied[record.id] = [*over, *denies]
            if len(self.denied) > _MAX_ENDED:
                del self.denied[next(iter(self.denied))]
            return list(gone)
        for name, some in [*self.denied.items()]:
            if any(one <= words if claim.get("again") is True else one == words for one in some):
                del self.denied[name]
                gone[name] = None
        self.said[record.id] = words
        for word in words:
            self.having.setdefault(word, {})[record.id] = None
        return list(gone)

    def _with(self, words: Words) -> list[str]:
        """Return the ids of current statements that have all the words."""
        rarest = min((self.having.get(word, {}) for word in words), key=len)
        return [name for name in rarest if words <= self.said[name]]


def _words(value: Any) -> Words:
    return frozenset(split_words(value)) if isinstance(value, str) else frozenset()


def _split(texts: Any) -> list[Words]:
    given = texts if isinstance(texts, list) else []
    return [words for one in given if isinstance(one, str) and (words := frozenset(one.split()))]
