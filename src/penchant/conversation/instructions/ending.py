"""Finds the known instructions that a sentence ends ("stop that", "you can stop ending with OK", "forget all my
rules").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penchant.conversation.instructions.languages import Table
from penchant.conversation.instructions.sentences import Sentence
from penchant.conversation.instructions.slots import about_same, slot_of
from penchant.history.dialogue import Instruction


@dataclass(frozen=True)
class Ended:
    """ids: of the instructions that end. meant: the sentence only ends instructions, even if none is known."""

    ids: tuple[str, ...] = ()
    meant: bool = False


def ended_by(sentence: Sentence, known: Sequence[Instruction]) -> Ended:
    """Return the standing instructions that a sentence ends. known: in the order they were given.

    All of them; the newest for "stop that"; or for a sentence that says something need not be done any more, those that
    share most words with it, or the newest in its slot.
    """
    for table in sentence.tables:
        if table.find("everything", sentence.plain) and not _about_others(sentence, table):
            return Ended(tuple(one.id for one in known), True)
        if table.find("over", sentence.plain):
            return Ended(tuple(one.id for one in known[-1:]), True)
    for table in sentence.tables:
        released = table.find("release", sentence.plain) and not _about_others(sentence, table)
        if released and (ids := _meant(sentence, known, table)):
            return Ended(ids, True)
    return Ended()


def _about_others(sentence: Sentence, table: Table) -> bool:
    return table.find("not_asked", sentence.plain) is not None


def _meant(sentence: Sentence, known: Sequence[Instruction], table: Table) -> tuple[str, ...]:
    shared = {one.id: about_same(sentence.text, one) for one in known}
    most = max(shared.values(), default=0)
    if most:
        return tuple(id for id, count in shared.items() if count == most)[-1:]
    slot = slot_of(sentence.text, table)
    return tuple(one.id for one in known if slot is not None and one.slot == slot)[-1:]
