"""Donors: items of other users for the prompts that produce rejected answers (Fints, arXiv 2510.27206)."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

from penchant.errors import InputError
from penchant.history.records import Record
from penchant.steering.data.pairs import Pair, first_words, is_pair, spaced
from penchant.store import Store

ITEM_WORDS = 60

Item = tuple[str, Record]
"""A record with its user."""


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
