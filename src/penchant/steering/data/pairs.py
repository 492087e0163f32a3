"""The (input, answer) pairs of a user, from which contrasts are made, and items of other users (donors) for the prompts
that produce rejected answers (Fints, arXiv 2510.27206).
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal

from penchant.errors import InputError
from penchant.history.records import History, Record, Request
from penchant.store import Store

WORDS = 300
"""Most words of an input; longer ones are cut."""
_WORD = re.compile(r"\S{1,32}(?!\S)|\S{8}")

ITEM_WORDS = 60
"""Words of a text and of a reply in an item of another user."""

Spread = Literal["newest", "even"]
Item = tuple[str, Record]
"""A record with its user."""


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


class Donors:
    """Items to draw from. others: records by user; those without a text or a reply are ignored.

    Raises `InputError` if none is left.
    """

    def __init__(self, others: Mapping[str, Iterable[Record]]) -> None:
        items = {user: [record for record in records if is_pair(record)] for user, records in others.items()}
        self._items = {user: items[user] for user in sorted(items) if items[user]}
        if not self._items:
            raise InputError(
                f"none of {len(items)} other users has a record with a text and a reply: expected some, to put into "
                "the prompts of rejected answers; import other users, or make contrasts with source 'none'"
            )

    def draw(self, user: str, pair: Pair, k: int, seed: str) -> list[Item]:
        """Draw `k` random items of users other than `user`, from different users if there are enough; fewer if there
        are fewer. Items with the pair's own input or answer are excluded. The same seed draws the same items.
        """
        rng = random.Random(seed)
        own = {pair.request.query.strip(), pair.answer.strip()}
        names = [name for name in self._items if name != user]
        rng.shuffle(names)
        queues = {name: rng.sample(self._items[name], min(k, len(self._items[name]))) for name in names[: 4 * k]}
        drawn: list[Item] = []
        while len(drawn) < k and any(queues.values()):
            for name, queue in queues.items():
                while queue and len(drawn) < k:
                    record = queue.pop()
                    if not own & {first_words(record.text, len(record.text)), (record.reply or "").strip()}:
                        drawn.append((name, record))
                        break
        return drawn


def donors_from(store: Store, user: str, *, users: int = 50, records: int = 20, seed: int = 0) -> Donors:
    """Return donors for `user` from a store: a limited number of other users, drawn with the seed, and of each a
    limited number of records, evenly spread. Raises `InputError` as `Donors` does.
    """
    names = [entry.user for entry in store.all_users() if entry.user != user]
    chosen = random.Random(f"{seed} {user}").sample(names, min(users, len(names)))
    found: dict[str, list[Record]] = {}
    for name in chosen:
        usable = [record for record in store.history(name) if is_pair(record)]
        found[name] = [usable[index] for index in spaced(len(usable), records)] if len(usable) > records else usable
    return Donors(found)


def notes_of(items: Iterable[Item], words: int = ITEM_WORDS) -> str:
    """Format items as notes for a prompt, one paragraph each: the first words of the text, and below them the reply."""
    return "\n\n".join(
        f"{first_words(record.text, words)}\n{first_words(record.reply or '', words)}" for _, record in items
    )


def _pair(record: Record, task: str | None, words: int) -> Pair:
    return Pair(Request(input_of(record, words), task), _reply(record), record.id, record.when)


def _reply(record: Record) -> str:
    return (record.reply or "").strip()
