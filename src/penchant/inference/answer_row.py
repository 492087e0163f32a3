"""One row of a batch while it is generated: how its tokens are chosen, and where its answer ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.history.dialogue import Finish
from penchant.inference.sampling import GREEDY, Sampler, Sampling
from penchant.inference.stopping import AnswerText
from penchant.models.loading import LoadedModel
from penchant.text.repetition import Repetition


class Grammar(Protocol):
    """Says which tokens may come next in one answer, as for JSON of a schema."""

    def mask(self, logits: Float[Tensor, " vocab"]) -> Float[Tensor, " vocab"]:
        """Return the logits with those of forbidden tokens at minus infinity."""

    def add(self, token: int) -> bool:
        """Take the next token; return whether the text is complete."""


@dataclass(frozen=True)
class PromptTokens:
    """A prompt and its options. max_new_tokens: longest answer. sampling: how tokens are chosen. stop: the answer ends
    before the first of these texts. stop_repetition: it also ends when it repeats itself (`Repetition`). likeliest: how
    many of the likeliest tokens are reported at each step, with their log probabilities (None: nothing is reported).
    grammar: makes what the answer must conform to; each row has its own.
    """

    ids: tuple[int, ...]
    max_new_tokens: int
    sampling: Sampling = GREEDY
    stop: tuple[str, ...] = ()
    stop_repetition: bool = True
    likeliest: int | None = None
    grammar: Callable[[], Grammar] | None = None


@dataclass(frozen=True)
class TokenChoice:
    """A token of an answer. logprob: its log probability, in nats, before temperature and penalties. likeliest: the
    likeliest tokens at this position with theirs, in order.
    """

    token: int
    logprob: float
    likeliest: tuple[tuple[int, float], ...]


class AnswerRow:
    """The answer of one row, as far as it is written. ends: tokens that end it. choices: its tokens, if the prompt asks
    for them; tokens: how many it has.
    """

    def __init__(self, loaded: LoadedModel, prompt: PromptTokens, ends: set[int]) -> None:
        self.finish: Finish | None = None if prompt.max_new_tokens else "length"
        self.choices: list[TokenChoice] = []
        self.tokens = 0
        self._sampler = Sampler(prompt.sampling, prompt.ids)
        self._text, self._ends, self._most = AnswerText(loaded, prompt.stop), ends, prompt.max_new_tokens
        self._repetition = Repetition() if prompt.stop_repetition else None
        self._likeliest = prompt.likeliest
        self._grammar = prompt.grammar() if prompt.grammar else None

    @property
    def stop(self) -> str | None:
        """The stop text that ended the answer; None: something else did, or nothing yet."""
        return self._text.stop

    @property
    def plain(self) -> bool:
        """Whether the likeliest token is taken, and nothing else is asked."""
        return self._sampler.plain and self._likeliest is None and self._grammar is None

    def pick(self, logits: Float[Tensor, " vocab"]) -> int:
        """Choose the next token."""
        allowed = logits if self._grammar is None else self._grammar.mask(logits.float().cpu())
        token = self._sampler.pick(allowed)
        if self._likeliest is not None:
            chances = torch.log_softmax(logits.float().cpu(), -1)
            top = chances.topk(min(self._likeliest, len(chances)))
            pairs = tuple(zip(top.indices.tolist(), top.values.tolist(), strict=True))
            self.choices.append(TokenChoice(token, float(chances[token]), pairs))
        return token

    def add(self, token: int) -> str:
        """Add a token; return the text that is ready now."""
        if self.finish is not None:
            return ""
        self.tokens += 1
        complete = self._grammar is not None and token not in self._ends and self._grammar.add(token)
        piece = "" if token in self._ends else self._text.add(token)
        if token in self._ends or self._text.stop is not None or complete:
            self.finish = "stop"
        elif self._repetition is not None and self._repetition.add(piece):
            self.finish = "repetition"
        elif self.tokens >= self._most:
            self.finish = "length"
        return piece if self.finish is None else piece + self._text.finish()


def pick(logits: Float[Tensor, "rows vocab"], rows: Sequence[AnswerRow]) -> list[int]:
    """Return each row's next token."""
    picked: list[int] = logits.argmax(-1).tolist()
    for at, row in enumerate(rows):
        if row.finish is None and not row.plain:
            picked[at] = row.pick(logits[at])
    return picked
