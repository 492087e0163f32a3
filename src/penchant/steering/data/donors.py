"""Other users' items, of which some stand in the prompt that writes a rejected answer (Fints, arXiv 2510.27206)."""

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
    """Items to draw from. others: records by user; those without both a text and a reply are passed over.

    Raises `InputError` when nothing is left.
    """

    def __init__(self, others: Mapping[str, Iterable[Record]]) -> None:
        items = {user: [record for record in records if is_pair(record)] for user, records in others.items()}
        self._items = {user: items[user] for user in sorted(items) if items[user]}
        if not self._items:
            raise InputError(
                f"none of {len(items)} other users has a record with a text and a reply: expected some, to be put into "
                "the prompts of rejected answers; import other users, or make contrasts with source 'none'"
            )

    def draw(self, user: str, pair: Pair, k: int, seed: str) -> list[Item]:
        """`k` random items of users other than `user`: each of another user, as far as there are enough; fewer where
        there are fewer. Never one with the pair's own input or answer. The same seed draws the same from the same."""
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
    """Donors for `user` from a store: at most so many other users, drawn with the seed, and of each at most so many
    records, evenly spread. Raises `InputError` as `Donors` does."""
    names = [entry.user for entry in store.all_users() if entry.user != user]
    chosen = random.Random(f"{seed} {user}").sample(names, min(users, len(names)))
    found: dict[str, list[Record]] = {}
    for name in chosen:
        usable = [record for record in store.history(name) if is_pair(record)]
        found[name] = [usable[index] for index in spaced(len(usable), records)] if len(usable) > records else usable
    return Donors(found)


def notes_of(items: Iterable[Item], words: int = ITEM_WORDS) -> str:
    """Items as notes in a prompt: the text's first words, and under it the reply; one paragraph an item."""
    return "\n\n".join(
        f"{first_words(record.text, words)}\n{first_words(record.reply or '', words)}" for _, record in items
    )
