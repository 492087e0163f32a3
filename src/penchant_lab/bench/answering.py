"""Answers many prompts in batches: the likelihood of given answers, and generated ones.

Every read starts from the keys and values of the prompt, which are computed once: the true answer, each choice and the
generated answer continue them. Prompts with the same beginning (many questions on one history) share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError
from penchant.inference.answer_row import PromptTokens
from penchant.inference.batching import length_batches, pad_left, pad_right
from penchant.inference.cached_rows import CachedRows
from penchant.inference.generation import answers
from penchant.inference.intervention import Intervention, stack
from penchant.inference.runtime import steered
from penchant.models.loading import LoadedModel
from penchant.steering.methods.attention_bias import AttentionBias, Heads, biased_attention
from penchant_lab.methods.method import Reply

ROWS = 16
BATCH_TOKENS = 8192
#: Logits of one step: rows x tokens x vocabulary.
LOGITS = 1 << 28
#: A common beginning is cached if it has at least this many tokens and is most of each prompt.
SHARED = 512


@dataclass(frozen=True)
class Prompt:
    """ids: the prompt's tokens. continuations: answers whose likelihood is wanted, each at least one token. given: how
    many tokens at the beginning of every continuation are read but not scored. max_new_tokens: how much to generate; 0:
    nothing. intervention: applied meanwhile, one row. emphasis: which tokens of the prompt get more attention in
    `heads`; prompts of one batch have the same heads.
    """

    ids: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...] = ()
    max_new_tokens: int = 0
    intervention: Intervention | None = None
    given: int = 0
    emphasis: AttentionBias | None = None
    heads: Heads = field(default_factory=dict)

    @property
    def longest(self) -> int:
        """Tokens that must fit after the prompt."""
        return max([self.max_new_tokens, *map(len, self.continuations)])


class Answerer:
    """Reads prompts with one model. rows, batch_tokens: the largest batch. Keeps the keys and values of the last
    beginning that prompts shared until `forget`."""

    def __init__(self, loaded: LoadedModel, *, rows: int = ROWS, batch_tokens: int = BATCH_TOKENS) -> None:
        self.loaded, self.rows, self.batch_tokens = loaded, rows, batch_tokens
        self._shared: tuple[int, ...] = ()
        self._rows: CachedRows | None = None

    def read(self, prompts: Sequence[Prompt], done: Callable[[int], None] = lambda count: None) -> list[Reply]:
        """Return a reply to each prompt, in order. done: called with the number of prompts after each batch.

        Raises `InputError` for a prompt that doesn't leave room for its answer in the window.
        """
        for prompt in prompts:
            if not prompt.ids or len(prompt.ids) + prompt.longest > self.loaded.window:
                raise InputError(
                    f"a prompt of {len(prompt.ids)} tokens with up to {prompt.longest} for the answer: expected 1 to "
                    f"{self.loaded.window} together, the window of {self.loaded.name}; lower the budget"
                )
        replies: dict[int, Reply] = {}
        together = self._beginning(prompts)
        for batch in self._batches(prompts, alone=bool(together)):
            chosen = [prompts[i] for i in batch]
            replies.update(zip(batch, self._read(chosen, together), strict=True))
            done(len(batch))
        return [replies[i] for i in range(len(prompts))]

    def forget(self) -> None:
        """Drop the shared beginning."""
        self._shared, self._rows = (), None

    def _beginning(self, prompts: Sequence[Prompt]) -> tuple[int, ...]:
        """Return the beginning that the prompts share, if it is most of each; the cached one if it still fits."""
        if not prompts or any(one.intervention is not None or one.emphasis is not None for one in prompts):
            return ()  # interventions may reach back into the beginning, and differ by row
        if self._shared and all(one.ids[: len(self._shared)] == self._shared != one.ids for one in prompts):
            return self._shared
        first, last = min(one.ids for one in prompts), max(one.ids for one in prompts)
        # The last token is always read again: an answer starts from its logits.
        most = min(len(one.ids) for one in prompts) - 1
        length = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), most)
        longest = max(len(one.ids) for one in prompts)
        if len(prompts) < 2 or length < SHARED or 2 * length < longest:
            return ()
        return first[:length]

    def _batches(self, prompts: Sequence[Prompt], alone: bool) -> Iterator[list[int]]:
        return length_batches(
            [len(prompt.ids) for prompt in prompts],
            rows=1 if alone else self.rows,
            tokens=self.batch_tokens,
            behind=[prompt.longest for prompt in prompts],
            tokens_behind=LOGITS // int(self.loaded.model.config.get_text_config().vocab_size),
        )

    @torch.inference_mode()
    def _read(self, prompts: Sequence[Prompt], together: tuple[int, ...]) -> list[Reply]:
        rests = [one.ids[len(together) :] for one in prompts]
        rows = self._begun(together) if together else CachedRows.empty(self.loaded, len(prompts))
        restore = rows.checkpoint()
        with self._written(prompts):
            logits = rows.prefill(pad_left(rests))
            nlls = self._likelihoods(prompts, logits, rows)
            starts = [PromptTokens(one.ids, one.max_new_tokens, stop_repetition=False) for one in prompts]
            texts = answers(self.loaded, rows.feed, logits, starts)
        restore()
        return [
            Reply(
                tuple(nlls[row]),
                tuple(len(ids) - one.given for ids in one.continuations),
                texts[row].text,
                len(rests[row]) + sum(map(len, one.continuations)),
            )
            for row, one in enumerate(prompts)
        ]

    @contextmanager
    def _written(self, prompts: Sequence[Prompt]) -> Iterator[None]:
        """Apply the interventions and emphases of the prompts."""
        steering = stack([one.intervention for one in prompts])
        model, emphases = self.loaded.model, [one.emphasis for one in prompts]
        heads = next((one.heads for one in prompts if one.emphasis is not None), {})
        with steered(model, steering, [len(one.ids) for one in prompts]), biased_attention(model, emphases, heads):
            yield

    def _likelihoods(
        self, prompts: Sequence[Prompt], logits: Float[Tensor, "rows vocab"], rows: CachedRows
    ) -> list[list[float]]:
        """Return the NLLs of every row's continuations; `rows` are unchanged in the end."""
        nlls: list[list[float]] = [[] for _ in prompts]
        restore = rows.checkpoint()
        for number in range(max(len(one.continuations) for one in prompts)):
            given = [one.continuations[number] if number < len(one.continuations) else () for one in prompts]
            for row, nll in enumerate(_continue(given, [one.given for one in prompts], logits, rows)):
                if given[row]:
                    nlls[row].append(nll)
            restore()
        return nlls

    def _begun(self, together: tuple[int, ...]) -> CachedRows:
        """Return one row that has read the shared beginning."""
        if together != self._shared or self._rows is None:
            self.forget()
            rows = CachedRows.empty(self.loaded, 1)
            rows.prefill(pad_left([together]))
            self._shared, self._rows = together, rows
        return self._rows


def _continue(
    given: Sequence[tuple[int, ...]], skipped: Sequence[int], logits: Float[Tensor, "rows vocab"], rows: CachedRows
) -> list[float]:
    """Return the NLL of a continuation of each row (0 for an empty one), without its first `skipped` tokens."""
    first = logits.float().log_softmax(-1)
    nlls = [
        -float(first[row, ids[0]]) if ids and not skip else 0.0
        for row, (ids, skip) in enumerate(zip(given, skipped, strict=True))
    ]
    new = pad_right([tokens[:-1] for tokens in given])
    if not new.ids.shape[1]:
        return nlls
    out = rows.read(new, last=new.ids.shape[1])
    for row, tokens in enumerate(given):
        if len(tokens) > 1:
            predicted = out[row, : len(tokens) - 1].float().log_softmax(-1)
            wanted = torch.tensor(tokens[1:], device=predicted.device)
            nlls[row] -= float(predicted.gather(1, wanted[:, None])[max(skipped[row] - 1, 0) :].sum())
    return nlls
