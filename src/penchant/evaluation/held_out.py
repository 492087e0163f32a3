"""More questions of each user: the newest of what the user wrote is asked for, from what came before it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penchant.errors import InputError
from penchant.evaluation.items import Item
from penchant.evaluation.leaks import leak_finder
from penchant.history.records import History, Record, Request
from penchant.steering.pairs import first_words, is_pair

WORDS = 200
"""Most words of an input that is asked with: what a task's own items have."""


def newest_held_out(items: Sequence[Item], count: int, *, fewest: int = 4) -> list[Item]:
    """Of each user the item with the longest history, and the `count` newest records of that history with a text and a
    reply as further items; all of them ask the same history, which ends before them and holds nothing of any.

    A user whose items share one history already is taken as is. Users with fewer than `fewest` pairs left are left out.
    Raises `InputError` when nobody is left.
    """
    users: dict[str, list[Item]] = {}
    for item in items:
        users.setdefault(item.user, []).append(item)
    made: list[Item] = []
    for some in users.values():
        if len(some) > 1 and len({id(item.history) for item in some}) == 1:
            made += some
        else:
            made += _of_user(max(some, key=lambda item: len(item.history)), count, fewest)
    if not made:
        raise InputError(
            f"no user has {fewest} records with a text and a reply before the {count} newest: ask for fewer"
        )
    return made


def without_asked(records: Iterable[Record], items: Sequence[Item]) -> list[Record]:
    """Those records of anybody that hold nothing of what is asked: what may be fitted on."""
    texts = [text for item in items for text in (item.request.query, item.answer)]
    reason = leak_finder(texts=texts)
    return [record for record in records if reason(record) is None]


def _of_user(item: Item, count: int, fewest: int) -> list[Item]:
    pairs = [record for record in item.history if is_pair(record)]
    newest = pairs[len(pairs) - count :] if count else []
    asked = {record.id for record in newest}
    first = next((place for place, record in enumerate(item.history) if record.id in asked), len(item.history))
    texts = [item.request.query, item.answer, *(text for one in newest for text in (one.text, one.reply or ""))]
    reason = leak_finder(texts=texts, ids=asked)
    left = [record for record in item.history.records[:first] if reason(record) is None]
    if sum(map(is_pair, left)) < fewest:
        return []
    history = History(left, item.user)
    further = [
        Item(f"{item.id}#{record.id}", history, _request(record, item.request), (record.reply or "").strip())
        for record in newest
    ]
    return [Item(item.id, history, item.request, item.answer), *further]


def _request(record: Record, like: Request) -> Request:
    return Request(first_words(record.text, WORDS), like.task)
