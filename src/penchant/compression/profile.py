"""Profiles: a short text within a budget, and the segments it is based on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from penchant.history.records import History, Request, Segment
from penchant.marking.marks import Marks

NOT_SHORTER = 1.05
"""Below this ratio nothing was shortened: it would read as "1.0x"."""


@dataclass(frozen=True)
class Profile:
    """A text of at most `budget` tokens in the target tokenizer (`tokens` is counted on the final text).

    segments: the chosen ones, in time order, with their marks in `scores`. compressor: the requested one. fallback: the
    text is extractive although a rewriter was requested; `reason` says why, or why the text is empty. mass_kept: share
    of the positive marking mass in the chosen segments, 0 to 1. heads: the (layer, head) pairs that were read to mark.
    """

    text: str
    tokens: int
    budget: int
    history_tokens: int
    segments: tuple[Segment, ...]
    scores: tuple[float, ...]
    marker: str
    compressor: str
    fallback: bool = False
    reason: str | None = None
    mass_kept: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    heads: tuple[tuple[int, int], ...] = ()

    @classmethod
    def nothing(cls, budget: int, history_tokens: int, reason: str) -> Profile:
        """Return an empty profile, for which nothing was marked."""
        return cls("", 0, budget, history_tokens, (), (), "none", "none", reason=reason)

    @property
    def ratio(self) -> float:
        """How many times shorter the profile is than the history."""
        return self.history_tokens / self.tokens if self.tokens else float("inf")

    @property
    def shortening(self) -> str:
        """The ratio in words: "50x shorter", "1.3x shorter", or that the budget was too large to shorten anything. The
        command line, the server and the heat map say the same.
        """
        if not self.tokens:
            return "empty"
        if self.ratio < NOT_SHORTER:
            return f"not shorter: the budget is {self.budget / max(1, self.history_tokens):.0%} of the history"
        return f"{self.ratio:.0f}x shorter" if self.ratio >= 2 else f"{self.ratio:.1f}x shorter"


Compressor = Callable[[History, Request, Marks, int], Profile]
"""(history, request, marks, budget in tokens) -> Profile."""
