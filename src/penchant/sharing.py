"""Which records may leave this machine: a filter of the history, before anything is marked.

What is filtered out is in no index, mark or profile of what an endpoint is sent. A record is private if its
meta says so: {"private": true}.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

from cachetools import LRUCache

from penchant.errors import InputError
from penchant.history.records import History, Record
from penchant.index.pool import VIEW, Directory

ALL, NONE = "all", "none"
_FORM = "expected 'all', 'none', or terms such as kind:review,tag:work,-label:health"
_HELD = 64
Term = tuple[str, str]


@dataclass(frozen=True)
class Sharing:
    """Records that may leave: those that any term of `only` names (empty: all) and none of `never`. A term is ("kind" |
    "tag" | "label", value); tags are the meta's "tags" (a list or one text). private: whether private ones may, too.
    """

    only: tuple[Term, ...] = ()
    never: tuple[Term, ...] = ()
    private: bool = False
    nothing: bool = False

    @classmethod
    def parse(cls, rules: str) -> Sharing:
        """Read the operator's rules: "all", "none", or terms separated by commas. Raises `InputError`."""
        only: list[Term] = []
        never: list[Term] = []
        terms = [term.strip() for term in rules.split(",") if term.strip()]
        if terms == [NONE]:
            return cls(nothing=True)
        for term in terms:
            kind, found, value = term.removeprefix("-").partition(":")
            if term != ALL and (kind not in _VALUES or not found or not value):
                raise InputError(f"the rule {term!r:.60} of what may be shared is unknown: {_FORM}")
            if term != ALL:
                (never if term.startswith("-") else only).append((kind, value))
        if not terms or (ALL in terms and only):
            raise InputError(f"the rules {rules!r:.60} of what may be shared say nothing: {_FORM}")
        return cls(tuple(only), tuple(never))

    def allows(self, record: Record) -> bool:
        """Whether a record may leave."""
        if self.nothing or (is_private(record) and not self.private):
            return False
        given = {(kind, value) for kind, values in _VALUES.items() for value in values(record)}
        return (not self.only or not given.isdisjoint(self.only)) and given.isdisjoint(self.never)

    @property
    def name(self) -> str:
        """A short name that no other rules have."""
        rules = json.dumps([sorted(self.only), sorted(self.never), self.private, self.nothing])
        return f"shared-{hashlib.sha256(rules.encode()).hexdigest()[:12]}"


EVERYTHING = Sharing(private=True)
"""For what stays on this machine."""


def is_private(record: Record) -> bool:
    """Whether a record must not leave this machine. Any value of the mark but false counts."""
    mark = record.meta.get("private")
    return mark is not None and mark is not False


class Views:
    """What may leave of each history, by rules. While the history is the same object, so is the result; the history
    itself, if all of it may. Thread-safe.
    """

    def __init__(self) -> None:
        self._held: LRUCache[tuple[str | int, str], tuple[History, History]] = LRUCache(_HELD)
        self._lock = RLock()

    def of(self, history: History, sharing: Sharing) -> History:
        """Return a history of the records that may leave; it has an index of its own, in the user's folder."""
        key = (history.user or id(history), sharing.name)
        with self._lock:
            known = self._held.get(key)
        if known is not None and known[0] is history:
            return known[1]
        kept = [record for record in history if sharing.allows(record)]
        made = history
        if len(kept) < len(history):
            made = History(kept, f"{history.user}{VIEW}{sharing.name}" if history.user else "")
        with self._lock:
            self._held[key] = history, made
        return made


def with_views(directory: Directory) -> Directory:
    """Return where indexes are kept: those of views in the folder of their user, so that they are erased with it."""

    def of(user: str) -> Path | None:
        name, _, view = user.partition(VIEW)
        where = directory(name)
        return where / view if where is not None and view else where

    return of


def _tags(record: Record) -> list[str]:
    given = record.meta.get("tags")
    return [str(one) for one in given] if isinstance(given, list | tuple) else [] if given is None else [str(given)]


_VALUES: Mapping[str, Callable[[Record], list[str]]] = {
    "kind": lambda record: [record.kind] if record.kind else [],
    "tag": _tags,
    "label": lambda record: [] if record.label is None else [str(record.label)],
}
