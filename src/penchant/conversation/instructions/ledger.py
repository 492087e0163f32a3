"""The user's standing instructions, and what became of each: what a turn adds, replaces and ends."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from penchant.conversation.context import Detector, Found
from penchant.conversation.instructions.slots import conflict, normalised
from penchant.conversation.instructions.until import ended_until
from penchant.history.dialogue import Instruction, Turn

Ledger = tuple[Instruction, ...]
"""All instructions of a user, ended ones too, in the order they were given."""

_WIDTH = {"until": 0, "conversation": 1, "always": 2}


def record_found(
    known: Sequence[Instruction], found: Found, *, conversation: str, turn: int | None, when: datetime | None
) -> Ledger:
    """The ledger after what was found in a turn.

    Those in `found.ended` end, by "user". An instruction that stands already, but for case and punctuation, isn't
    added again, nor is one of the same turn that is read twice. A new one ends those of its conversation, or that
    always stand, which it contradicts (see `conflict`), unless they reach further: an order for today doesn't end one
    for always, it goes before it (see `in_force`).
    """
    ledger = [_end(one, "user", when) if one.id in found.ended and one.stands else one for one in known]
    for given in found.given:
        new = replace(
            given, id=instruction_id(conversation, turn, given.text), conversation=conversation, turn=turn, added=when
        )
        if any(one.id == new.id or (one.stands and _repeats(new, one)) for one in ledger):
            continue
        ledger = [_end(one, new.id, when) if _replaced(one, new) else one for one in ledger]
        ledger.append(new)
    return tuple(ledger)


def expire(known: Sequence[Instruction], turns: Sequence[Turn], *, conversation: str, now: datetime | None) -> Ledger:
    """The ledger with what has come to its end by `now` ended, by "until". turns: of the conversation, with the user's
    newest one; instructions of other conversations end by time alone. See `ended_until`."""
    return tuple(
        _end(one, "until", now)
        if one.stands and ended_until(one, turns if one.conversation == conversation else (), now)
        else one
        for one in known
    )


def in_force(known: Iterable[Instruction], conversation: str) -> Ledger:
    """The instructions to be followed in a conversation now, in the order they were given: those that stand, are its
    own or always stand, and aren't contradicted by a newer one that stands for less long."""
    here = [one for one in known if one.stands and (one.scope == "always" or one.conversation == conversation)]
    return tuple(one for place, one in enumerate(here) if not any(conflict(new, one) for new in here[place + 1 :]))


def replay(
    turns: Sequence[Turn], detector: Detector, conversation: str = "", known: Sequence[Instruction] = ()
) -> Ledger:
    """The ledger after a conversation, turn by turn. known: from before it."""
    ledger = tuple(known)
    for place, turn in enumerate(turns):
        if turn.role == "user":
            ledger = after_turn(ledger, turns[: place + 1], detector, conversation)
    return ledger


def after_turn(known: Sequence[Instruction], turns: Sequence[Turn], detector: Detector, conversation: str) -> Ledger:
    """The ledger after the last of the turns, the user's newest. What was to stand until now ends first; words that end
    it ("stop") end nothing else."""
    turn = turns[-1]
    ledger = expire(known, turns, conversation=conversation, now=turn.when)
    found = detector(turn.text, [one for one in ledger if one.stands])
    if sum(one.stands for one in ledger) < sum(one.stands for one in known):
        found = Found(found.given)
    return record_found(ledger, found, conversation=conversation, turn=turn.number, when=turn.when)


def instruction_id(conversation: str, turn: int | None, text: str) -> str:
    """The id of an instruction: the same whenever the same turn is read again."""
    parts = "\x1f".join([conversation, "" if turn is None else str(turn), text])
    return hashlib.sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _end(one: Instruction, by: str, when: datetime | None) -> Instruction:
    # `stands` is "no time of its end": a turn without a time leaves the time the instruction was added, or the first.
    return replace(one, ended=when or one.added or datetime.min, ended_by=by)


def _repeats(new: Instruction, old: Instruction) -> bool:
    reached = old.conversation == new.conversation or old.scope == "always"
    return reached and normalised(new.text) == normalised(old.text)


def _replaced(old: Instruction, new: Instruction) -> bool:
    reached = old.conversation == new.conversation or old.scope == "always"
    return old.stands and reached and _WIDTH[new.scope] >= _WIDTH[old.scope] and conflict(new, old)
