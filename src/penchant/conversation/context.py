"""What a memory makes the prompt of a question from, and why."""

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


@dataclass(frozen=True)
class Dialogue:
    """All that a memory may use. past: the exchanges before the question, in time order. instructions: those in force,
    in the order they were given. system: the system prompt ("": none). notes: a profile of the user's history."""

    past: tuple[Exchange, ...] = ()
    instructions: tuple[Instruction, ...] = ()
    system: str = ""
    notes: Profile | None = None
    key: str = ""
    """The conversation's name: what a memory computes for its turns is kept under it ("": only for one call)."""


@dataclass(frozen=True)
class Inclusion:
    """How one past exchange is included in the prompt. user, assistant: characters [start, end) of its turns that are
    (empty: none). similarity: to the question, on the method's own scale; None where it wasn't computed."""

    exchange: int
    how: How
    why: Why
    similarity: float | None = None
    user: Spans = ()
    assistant: Spans = ()


@dataclass(frozen=True)
class Context:
    """The prompt of a question. messages: with role and content, the question last. tokens: of the rendered prompt,
    never more than `budget`. instructions: those in the prompt, numbered in this order; left_out: those that there was
    no room for. inclusions: one for each past exchange. tokens_fed: through any model to make it. seconds: by phase."""

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
    """Chooses what of a conversation goes into the prompt. Made once for a model, used for many conversations."""

    def context(self, dialogue: Dialogue, question: str, budget: int) -> Context:
        """The prompt of a question. budget: tokens of the whole rendered prompt. Raises `InputError` for a question
        that is over it by itself."""

    def forget(self, key: str) -> None:
        """Drop what is held in memory of a conversation."""


@dataclass(frozen=True)
class Found:
    """What a user's turn says about standing instructions. given: new ones. ended: ids of known ones that it ends."""

    given: tuple[Instruction, ...] = ()
    ended: tuple[str, ...] = ()


class Detector(Protocol):
    """Finds standing instructions in a user's turn."""

    def __call__(self, text: str, known: Sequence[Instruction]) -> Found:
        """known: standing instructions. Those found have text, scope, until and slot; the caller fills in the rest."""
