"""The items of a benchmark: one question on one user's history, with the true answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from penchant.errors import InputError
from penchant.history.records import History, Request
from penchant_lab.measures.adherence import Check
from penchant_lab.measures.protocol import spread

Part = Literal["tune", "test", "all"]
"""Which users: those for tuning, those for testing, or both."""


@dataclass(frozen=True)
class Item:
    """One question.

    history: what the user did before; nothing of the answer may stand in it. Items of one user share the object where
    their histories are the same, so that what is prepared for it is prepared once. answer: the user's own text (a
    title, an answer), or one of `choices`. references: other texts that count as right. choices: what may be answered;
    each is scored by its likelihood. values: the number each choice stands for (ratings); value: the true number.
    evidence: ids of the records that hold the answer, where labels exist. category: a group of questions to report by
    itself. given: the beginning of the answer, given to the model; the loss is that of `answer` alone, which continues
    it. quotes: for each evidence record, the words that contain the answer (none: any of its words). check: what a
    generated answer must comply with; an item with a check may have no answer ("": no loss).

    Raises `InputError` when the answer is none of the choices, is empty without a check, or values don't fit the
    choices.
    """

    id: str
    history: History
    request: Request
    answer: str
    choices: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    value: float | None = None
    evidence: tuple[str, ...] = ()
    category: str = ""
    references: tuple[str, ...] = ()
    given: str = ""
    quotes: tuple[str, ...] = ()
    check: Check | None = None

    def __post_init__(self) -> None:
        if not self.answer.strip() and self.check is None:
            raise InputError(
                f"item {self.id}: the answer is empty; expected some text, or a check of what is generated"
            )
        if self.choices and self.answer not in self.choices:
            raise InputError(
                f"item {self.id}: the answer {self.answer[:40]!r} is none of its {len(self.choices)} choices"
            )
        if self.quotes and len(self.quotes) != len(self.evidence):
            raise InputError(f"item {self.id}: {len(self.quotes)} quotes for {len(self.evidence)} evidence records")
        if self.values and len(self.values) != len(self.choices):
            raise InputError(f"item {self.id}: {len(self.values)} values for {len(self.choices)} choices")

    @property
    def user(self) -> str:
        return self.history.user


def part_of(user: str) -> Part:
    """ "tune" or "test": half of all users each, by a hash of the name, so that it never changes."""
    return "test" if hashlib.sha256(user.encode("utf-8", "surrogatepass")).digest()[0] % 2 else "tune"


def in_part(items: Iterable[Item], part: Part) -> list[Item]:
    """Those items whose user belongs to the part."""
    return [item for item in items if part in ("all", part_of(item.user))]


def limited(items: Sequence[Item], limit: int | None) -> list[Item]:
    """All items, or `limit` of them at even distances. Raises `InputError` for a limit below 1."""
    return [items[position] for position in spread(range(len(items)), limit)]
