"""A conversation as the history of an item: one record per turn; its kind is the side that speaks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from penchant.errors import InputError
from penchant.history.dialogue import Role, Turn
from penchant.history.records import History, Record
from penchant_lab.bench.items import Item

STANDING = "standing"
"""In a record's meta: the turn gives an instruction that stands when the question is asked (a label, which only the
reference `gold` may read)."""


def history_of(name: str, said: Iterable[tuple[Role, str]], standing: Sequence[int] = ()) -> History:
    """Turns as a history: ids are "t0", "t1", ...; standing: numbers of turns to be labelled."""
    return History(
        (
            Record(text, f"t{number}", kind=role, meta={STANDING: True} if number in standing else {})
            for number, (role, text) in enumerate(said)
        ),
        name,
    )


def turns_of(history: History) -> tuple[Turn, ...]:
    """The turns of a history of a conversation. Raises `InputError` for a record that is none."""
    for record in history:
        if record.kind not in ("user", "assistant"):
            raise InputError(f"record {record.id} is of kind {record.kind!r}: expected turns, user or assistant")
    return tuple(
        Turn(number, cast(Role, record.kind), record.text, record.when) for number, record in enumerate(history)
    )


def whole(item: Item) -> tuple[dict[str, str], ...]:
    """The whole conversation and the question, as messages."""
    said = [{"role": turn.role, "content": turn.text} for turn in turns_of(item.history)]
    return (*said, {"role": "user", "content": item.request.query})
