"""What a conversation gives back: an answer, with what its turn changed, and what was erased."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from penchant.conversation.context import Context
from penchant.conversation.retention.forgetting import Forgotten
from penchant.history.dialogue import Finish, Instruction, Turn
from penchant.inference.endpoint import Served


class Learned(NamedTuple):
    """What a user's turn changed: instructions that it gave, instructions that it ended, ids of records made
    from it.
    """

    given: tuple[Instruction, ...] = ()
    ended: tuple[Instruction, ...] = ()
    records: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChatAnswer:
    """The model's answer to a user's turn.

    text: what the model said to the user; reasoning: what it wrote before ("": nothing). finish: why the answer ended.
    number: of the answer's turn (None: the model said nothing, so nothing is stored). context: the prompt, and reasons.
    given, ended, records: what the user's turn changed, see `Learned`. seconds: wall time of "detect", "notes",
    "context" and "answer".

    notice: what Penchant tells the user about a wish ("off the record", "forget that ..."); it is the whole text if the
    turn says nothing else, and no model runs. off_record: neither the turn nor the answer is kept. forgotten: what was
    erased on the user's request. served: which model of an endpoint answered (None: the local one).
    """

    text: str
    number: int | None
    context: Context
    given: tuple[Instruction, ...] = ()
    ended: tuple[Instruction, ...] = ()
    records: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    finish: Finish = "stop"
    reasoning: str = ""
    notice: str = ""
    off_record: bool = False
    forgotten: Forgotten | None = None
    served: Served | None = None


@dataclass(frozen=True)
class ErasedTurns:
    """What was erased: turns, the instructions given in them, and ids of the records made from them."""

    turns: tuple[Turn, ...]
    instructions: tuple[Instruction, ...] = ()
    records: tuple[str, ...] = ()
