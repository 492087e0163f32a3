"""Turns statements in a conversation into records of the user's history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penchant.conversation.facts.statements import Statement, statements
from penchant.history.dialogue import Turn
from penchant.history.records import Record
from penchant.history.supersession import STATEMENT


def records_of(turn: Turn, conversation: str, *, skip: Sequence[tuple[int, int]] = ()) -> list[Record]:
    """Return a record for each statement in a user's turn, verbatim; none for an assistant's turn.

    conversation: its id. skip: see `statements`. kind: "said"; when: the turn's. The id combines conversation, turn
    number and offset, so that adding a turn's records twice adds nothing. meta has "conversation", "turn", "start" and
    "end", to find the records when the turn is erased, and "about", "value", "ended" and "claim" of the statement where
    it has them.
    """
    if turn.role != "user":
        return []
    return [
        Record(
            one.text,
            id=f"said:{conversation}:{turn.number}:{one.start}",
            when=turn.when,
            kind=STATEMENT,
            meta=_meta(one, turn, conversation),
        )
        for one in statements(turn.text, skip=skip)
    ]


def _meta(one: Statement, turn: Turn, conversation: str) -> dict[str, Any]:
    meta: dict[str, Any] = {"conversation": conversation, "turn": turn.number, "start": one.start, "end": one.end}
    if one.about is not None:
        meta["about"] = one.about
    if one.value is not None:
        meta["value"] = one.value
    if one.ended:
        meta["ended"] = True
    if one.claim is not None:
        meta["claim"] = one.claim.meta()
    return meta
