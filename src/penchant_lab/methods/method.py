"""`Method`: turns a user's history and a budget into the content of a prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from penchant.history.records import History, Segment
from penchant.inference.intervention import Intervention
from penchant.marking.marks import FloatArray
from penchant.steering.methods.attention_bias import AttentionBias, Heads
from penchant_lab.bench.items import Item


@dataclass(frozen=True)
class Reply:
    """A model's reply to a prompt. nlls: of each continuation, summed over its tokens, in nats; lengths: its tokens.
    text: what the model generated ("" when nothing was to be generated). tokens_fed: prompt and continuations.
    """

    nlls: tuple[float, ...]
    lengths: tuple[int, ...]
    text: str = ""
    tokens_fed: int = 0


@dataclass(frozen=True)
class Notes:
    """The result of a method for one item.

    text: the notes in the prompt; None: no notes. tokens: its size in the answering model's tokens.
    segments: the verbatim pieces in it, None if it doesn't consist of such pieces (then evidence can't be traced).
    scores: float32 [all segments of the history], where the method scores them.
    tokens_fed: tokens that went through a model to make it; seconds: wall time to make it.
    kept: share of the history's tokens that are in the prompt, where a window forced some out.
    fallback: the method couldn't do it its own way (a rewriter that fell back to extraction).
    reply: the answer, where the method reads it itself (compressed key-value caches); `text` is then None.
    intervention: what is written into the model while it answers, one row.
    messages: the conversation to answer, the question last, instead of notes; `tokens` is then the whole prompt's.
    emphasis: which tokens of the prompt get more attention, in `heads` (the same for all of a method's).
    """

    text: str | None
    tokens: int = 0
    segments: tuple[Segment, ...] | None = None
    scores: FloatArray | None = None
    tokens_fed: int = 0
    seconds: float = 0.0
    kept: float | None = None
    fallback: bool = False
    reply: Reply | None = None
    intervention: Intervention | None = None
    messages: tuple[dict[str, str], ...] | None = None
    emphasis: AttentionBias | None = None
    heads: Heads = field(default_factory=dict)


class Session(Protocol):
    """A method on one history: work for the first item may be reused for the next ones."""

    def notes(self, item: Item, budget: int) -> Notes:
        """budget: tokens of the answering model. Raises `PenchantError` if the item fails."""

    def stored_bytes(self) -> int:
        """Bytes stored for this user between requests, in addition to the records."""


@dataclass(frozen=True)
class Method:
    """name: as `--methods` names it. open: (history, its segments, seed) -> a session, closed when the history is done.

    seeded: it draws at random, so every seed is run. budgeted: it keeps to a budget; if not, it is run once and not for
    every budget. about: one line with the source (paper).
    """

    name: str
    open: Callable[[History, Sequence[Segment], int], AbstractContextManager[Session]]
    about: str
    seeded: bool = False
    budgeted: bool = True
