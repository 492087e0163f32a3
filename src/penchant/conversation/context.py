"""The input and output of a memory: a dialogue, and the prompt of a question with reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from penchant.compression.profile import Profile
from penchant.history.dialogue import Exchange, Instruction

How = Literal["raw", "compressed", "user-only", "dropped"]
"""raw: both sides word for word; compressed: the user's turn word for word and verbatim spans of the answer; user-only:
the user's turn alone; dropped: nothing."""
Why = Literal["first", "recent", "retrieved", "unlike", "budget", "method"]
"""first, recent: always included; retrieved: similar to the question; unlike: not similar; budget: no room was left;
method: the method includes or drops it whatever the question is."""
Spans = tuple[tuple[int, int], ...]


Layout = Literal["system", "turn"]
"""Where notes and instructions stand in the prompt. system: in the system message. turn: in the last user message, the
notes before the question and the instructions after it, where small models follow them best
(penchant_lab.first_hour).
"""


@dataclass(frozen=True)
class Dialogue:
    """Everything that a memory may use. past: the exchanges before the question, in time order. instructions: those in
    force, in the order they were given. system: the system prompt ("": none). notes: a profile of the user's history.
    layout: see `Layout`.
    """

    past: tuple[Exchange, ...] = ()
    instructions: tuple[Instruction, ...] = ()
    system: str = ""
    notes: Profile | None = None
    key: str = ""
    """The conversation's name: what a memory computes for its turns is kept under it ("": only for one call)."""
    layout: Layout = "system"


@dataclass(frozen=True)
class Inclusion:
    """How one past exchange is included in the prompt. user, assistant: the included characters [start, end) of its
    turns (empty: none). similarity: to the question, on the method's own scale; None if it wasn't computed.
    """

    exchange: int
    how: How
    why: Why
    similarity: float | None = None
    user: Spans = ()
    assistant: Spans = ()


@dataclass(frozen=True)
class Context:
    """The prompt of a question. messages: with role and content, the question last. tokens: of the rendered prompt,
    never more than `budget`. instructions: those in the prompt, numbered in this order; left_out: those that didn't
    fit. inclusions: one for each past exchange. tokens_fed: how many tokens any model read to make it. seconds: wall
    time by phase.
    """

    messages: tuple[dict[str, str], ...]
    tokens: int
    budget: int
    instructions: tuple[Instruction, ...] = ()
    left_out: tuple[Instruction, ...] = ()
    inclusions: tuple[Inclusion, ...] = ()
    notes: Profile | None = None
    tokens_fed: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)


class Memory(Protocol):
    """Chooses the parts of a conversation that go into the prompt. Made once per model, used for many conversations."""

    def context(self, dialogue: Dialogue, question: str, budget: int) -> Context:
        """Return the prompt of a question. budget: most tokens of the whole rendered prompt. Raises `InputError` for a
        question that exceeds it alone.
        """

    def forget(self, key: str) -> None:
        """Drop everything held in memory for a conversation."""


@dataclass(frozen=True)
class Found:
    """The standing instructions in a user's turn. given: new ones. ended: ids of known ones that it ends."""

    given: tuple[Instruction, ...] = ()
    ended: tuple[str, ...] = ()


class Detector(Protocol):
    """Finds standing instructions in a user's turn."""

    def __call__(self, text: str, known: Sequence[Instruction]) -> Found:
        """Find instructions. known: the standing ones. Found ones have text, scope, until and slot; the caller fills in
        the rest.
        """
