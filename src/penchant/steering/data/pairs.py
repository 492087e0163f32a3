"""A user's own (input, answer) pairs, from which contrasts are made."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal

from penchant.errors import InputError
from penchant.history.records import History, Record, Request

WORDS = 300
"""Most words of an input; longer ones are cut."""
_WORD = re.compile(r"\S{1,32}(?!\S)|\S{8}")

Spread = Literal["newest", "even"]


@dataclass(frozen=True)
class Pair:
    """An input and the user's own answer to it. record: the id of their record."""

    request: Request
    answer: str
    record: str = ""
    when: datetime | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex, 16 characters) of input and answer; changes when the record is replaced."""
        parts = [self.request.query, self.request.task, self.answer]
        return hashlib.sha256(json.dumps(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]

    @cached_property
    def id(self) -> str:
        """SHA-256 (hex, 16 characters) of digest and record: the same answer given twice is two samples."""
        return hashlib.sha256(f"{self.digest} {self.record}".encode("utf-8", "surrogatepass")).hexdigest()[:16]

    @property
    def donors(self) -> tuple[tuple[str, str], ...]:
        """Empty: a user's own answer has no donors; see `Contrast.donors`."""
        return ()


def own_pairs(
    history: History,
    *,
    task: str | None = None,
    most: int | None = None,
    spread: Spread = "newest",
    exclude: Collection[str] = (),
    words: int = WORDS,
) -> list[Pair]:
    """Return the pairs of a history in time order: for each record with a text and a reply, the text (its first `words`
    words) is the request, with `task`, and the reply the answer.

    most: limit of their number: the newest ones, or evenly spread over the history (`spread`). exclude: ids of records
    that must not be used (held-out ones). Raises `InputError` for a history without a usable record.
    """
    if words < 1 or (most is not None and most < 1):
        raise InputError(f"{most} pairs of {words} words: expected at least 1 of each")
    found = [_pair(record, task, words) for record in history if is_pair(record) and record.id not in exclude]
    if not found:
        whose = f"of {history.user!r}" if history.user else "given"
        raise InputError(
            f"none of the {len(history)} records {whose} can be a contrast: expected records with a 'text' (what the "
            f"user was given) and a 'reply' (what the user wrote for it){', not held out' if exclude else ''}; "
            "import some"
        )
    if most is None or len(found) <= most:
        return found
    if spread == "newest":
        return found[-most:]
    return [found[index] for index in spaced(len(found), most)]


def is_pair(record: Record) -> bool:
    """Whether a record has a text, and a reply that differs from it."""
    return bool(record.text.strip() and (record.reply or "").strip() and record.text.strip() != _reply(record))


def input_of(record: Record, words: int = WORDS) -> str:
    """Return the input of a record's pair: the first `words` words of its text."""
    return first_words(record.text, words)


def spaced(count: int, most: int) -> list[int]:
    """Return `most` of `count` positions, evenly spaced, including the first and, if more than one, the last."""
    if most == 1:
        return [count - 1]
    return [round(step * (count - 1) / (most - 1)) for step in range(most)]


def first_words(text: str, most: int) -> str:
    """Return the text up to its `most`-th word, verbatim. In scripts without spaces, 8 characters count as a word."""
    for number, word in enumerate(_WORD.finditer(text), 1):
        if number == most:
            return text[: word.end()].strip()
    return text.strip()


def _pair(record: Record, task: str | None, words: int) -> Pair:
    return Pair(Request(input_of(record, words), task), _reply(record), record.id, record.when)


def _reply(record: Record) -> str:
    return (record.reply or "").strip()
