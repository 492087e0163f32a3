"""What a memory puts before the model for one question, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from penchant.compression.profile import Profile
from penchant.history.dialogue import Exchange, Instruction

How = Literal["raw", "compressed", "user-only", "dropped"]
"""raw: both sides word for word; compressed: the user's turn word for word, of the answer verbatim spans; user-only:
the user's turn alone; dropped: nothing."""
Why = Literal["first", "recent", "retrieved", "unlike", "budget", "method"]
"""first, recent: always there; retrieved: like the question; unlike: not like it; budget: no room was left; method: the
method keeps or drops it whatever is asked."""
Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Dialogue:
    """All that a memory may use. system: the system prompt (""): none. past: the exchanges before the question, in time
    order. instructions: those that stand, in the order they were given. notes: a profile of the user's history."""

    past: tuple[Exchange, ...] = ()
    instructions: tuple[Instruction, ...] = ()
    system: str = ""
    notes: Profile | None = None
    key: str = ""
    """Names the conversation: what a memory prepares of its turns is kept under it ("": in this call only)."""


@dataclass(frozen=True)
class Inclusion:
    """What became of one past exchange. user, assistant: characters [start, end) of its turns that stand in the prompt
    (empty: nothing does). similarity: to the question, where it was looked at; on the method's own scale."""

    exchange: int
    how: How
    why: Why
    similarity: float | None = None
    user: Spans = ()
    assistant: Spans = ()


@dataclass(frozen=True)
class Context:
    """messages: with role and content, the question last. tokens: of the rendered prompt, never more than `budget`.
    instructions: those in the prompt, numbered in this order; left_out: those that the budget had no room for.
    inclusions: one for each past exchange. tokens_fed: through any model to make it. seconds: by phase."""

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
    """Chooses what of a conversation stands before the model. Made once for a model, used for many conversations."""

    def context(self, dialogue: Dialogue, question: str, budget: int) -> Context:
        """budget: tokens of the whole rendered prompt. Raises `InputError` for a question that alone is over it."""

    def forget(self, key: str) -> None:
        """Let go of what is held in memory of a conversation."""


@dataclass(frozen=True)
class Found:
    """What a user's turn says about standing instructions. given: new ones. ended: ids of known ones that it ends."""

    given: tuple[Instruction, ...] = ()
    ended: tuple[str, ...] = ()


class Detector(Protocol):
    """Finds standing instructions in a user's turn."""

    def __call__(self, text: str, known: Sequence[Instruction]) -> Found:
        """known: those that stand. The given ones have text, scope, until, slot; the caller fills in the rest."""
