"""Baselines that don't look at the question: all of the past, its end, or its user turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from penchant.conversation.context import Context, Dialogue, Inclusion, Memory, Why
from penchant.conversation.prompt_assembly import Candidate, assemble
from penchant.conversation.prompt_rendering import TokenCounter, dropped, raw, user_only
from penchant.errors import InputError
from penchant.history.dialogue import Exchange
from penchant.marking.resources import Resources


def full(resources: Resources) -> Memory:
    """The whole conversation; if the budget is too small for it, its newest part."""
    return _Whole(TokenCounter(resources.loaded), raw, None)


def recent(resources: Resources, *, count: int = 5) -> Memory:
    """The last exchanges, five by default. Raises `InputError` for a count below 1."""
    if count < 1:
        raise InputError(f"count {count}: expected at least 1 exchange")
    return _Whole(TokenCounter(resources.loaded), raw, count)


def user_turns(resources: Resources) -> Memory:
    """The user's turns without the answers; if the budget is too small for all, the newest."""
    return _Whole(TokenCounter(resources.loaded), user_only, None)


@dataclass
class _Whole:
    counter: TokenCounter
    keep: Callable[[Exchange, Why], Inclusion]
    count: int | None

    def context(self, dialogue: Dialogue, question: str, budget: int) -> Context:
        past = dialogue.past
        why: Why = "method" if self.count is None else "recent"
        oldest = 0 if self.count is None else max(0, len(past) - self.count)

        def candidate(position: int) -> Candidate:
            return Candidate(position, lambda: (self.keep(past[position], why),))

        return assemble(
            self.counter,
            dialogue,
            question,
            budget,
            candidates=(candidate(position) for position in reversed(range(oldest, len(past)))),
            rest=lambda position: dropped(past[position].number, "budget" if position >= oldest else "method"),
            contiguous=True,
        )

    def forget(self, key: str) -> None:
        """Nothing to do: no state is held."""
