"""More questions per user: the user's newest texts are asked for, given everything before them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from penchant.errors import InputError
from penchant.history.records import History, Record, Request
from penchant.steering.data.pairs import first_words, is_pair
from penchant_lab.bench.items import Item
from penchant_lab.measures.leaks import leak_finder

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
    """Return the records that contain no part of the questions' answers, and may be used for fitting."""
    texts = [text for item in items for text in (item.request.query, item.answer, *item.references)]
    reason = leak_finder(texts=texts)
    return [record for record in records if reason(record) is None]


def distinct(records: Sequence[Record]) -> list[Record]:
    """Those records that don't hold what a later one does: of a paper and its journal version the newer. Where answers
    are held out in turn, the others mustn't give them away."""
    kept: list[Record] = []
    for record in reversed(records):
        reason = leak_finder(texts=[record.text, record.reply or ""])
        if all(reason(one) is None for one in kept):
            kept.append(record)
    return kept[::-1]


def _of_user(item: Item, count: int, fewest: int) -> list[Item]:
    pairs = [record for record in item.history if is_pair(record)]
    newest = pairs[-count:] if count else []
    asked = {record.id for record in newest}
    first = next((position for position, record in enumerate(item.history) if record.id in asked), len(item.history))
    further = [(one, first_words(one.text, WORDS), (one.reply or "").strip()) for one in newest]
    texts = [item.request.query, item.answer, *item.references]
    texts += [text for record, query, answer in further for text in (record.text, query, answer)]
    reason = leak_finder(texts=texts, ids=asked)
    left = [record for record in item.history.records[:first] if reason(record) is None]
    if sum(map(is_pair, left)) < fewest:
        return []
    history = History(left, item.user)
    made = [replace(item, history=history)]
    for record, query, answer in further:
        request = Request(query, item.request.task)
        made.append(Item(f"{item.id}#{record.id}", history, request, answer, category=item.category))
    return made
