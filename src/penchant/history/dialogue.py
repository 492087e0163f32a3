"""The parts of a conversation: turns, exchanges and standing instructions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from penchant.errors import InputError

Role = Literal["user", "assistant"]
Scope = Literal["conversation", "always", "until"]
"""How long an instruction holds: in its conversation, in all of the user's conversations, or in its conversation until
the event that `Instruction.until` names.
"""
Finish = Literal["stop", "length", "repetition", "interrupted", "broken", "filtered"]
"""Why an answer ended: the model had said all, the limit of tokens was reached, it repeated itself, somebody stopped
it, an endpoint's stream broke off, or an endpoint's filter stopped it.
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn of one side. number: its position in the conversation, from 0. when: UTC. finish: why the answer ended
    (None: unknown, or a user's turn).

    Raises `InputError` for a turn without text.
    """

    number: int
    role: Role
    text: str
    when: datetime | None = None
    finish: Finish | None = None

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise InputError("a turn is empty: expected some text")

    @property
    def cut(self) -> bool:
        """Whether the answer ended before it was complete."""
        return self.finish not in (None, "stop")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A user's turn with its answer. number: its position among the exchanges, from 0. assistant: None if the answer is
    missing (after a crash, or because it wasn't kept).
    """

    number: int
    user: Turn
    assistant: Turn | None = None


def exchanges(turns: Iterable[Turn]) -> tuple[Exchange, ...]:
    """Return the exchanges of a conversation, in order. Each user turn begins an exchange; of several assistant turns
    after it, the last one is its answer. Assistant turns before the first user turn are left out.
    """
    found: list[Exchange] = []
    for turn in turns:
        if turn.role == "user":
            found.append(Exchange(len(found), turn))
        elif found:
            found[-1] = Exchange(found[-1].number, found[-1].user, turn)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Instruction:
    """A standing instruction, verbatim.

    id: unique among a user's. conversation: where it was given ("" for none: the user wrote it down directly). turn:
    number of the user turn that contains it (None: the system prompt, or written down directly). until: the event that
    ends it, verbatim (scope "until" only). slot: what it regulates ("language", "length", ...; None: nothing that
    another instruction could contradict). ended: when it stopped holding; ended_by: the id of the instruction that
    superseded it, or "user", or "until".
    """

    id: str
    text: str
    conversation: str = ""
    turn: int | None = None
    scope: Scope = "conversation"
    until: str | None = None
    slot: str | None = None
    added: datetime | None = None
    ended: datetime | None = None
    ended_by: str | None = None

    @property
    def active(self) -> bool:
        return self.ended is None
