"""What a model makes of many prompts: the likelihood of given answers, and its own, in batches.

Every read starts from the keys and values of the prompt, which are computed once: the true answer, each choice and the
generated answer continue them. Prompts that begin alike (a whole history, asked many questions) share that beginning.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import Cache

from penchant.errors import InputError
from penchant.inference.decoding import decode_rows
from penchant.inference.intervention import Intervention, stack
from penchant.inference.kv_cache import cut, growing_cache
from penchant.inference.runtime import steered
from penchant.models.chat import PREFILL, end_tokens
from penchant.models.loading import LoadedModel
from penchant.steering.methods.attention_bias import AttentionBias, Heads, biased_attention
from penchant_lab.methods.method import Reply

ROWS = 16
BATCH_TOKENS = 8192
#: Logits of one step: rows x tokens x vocabulary.
LOGITS = 1 << 28
#: A common beginning is kept when it is at least this long and most of each prompt.
SHARED = 512


@dataclass(frozen=True)
class Prompt:
    """ids: the prompt's tokens. continuations: answers whose likelihood is wanted, each at least one token.
    given: so many tokens at the beginning of every continuation are fed and don't count.
    max_new_tokens: how much to generate; 0: nothing. intervention: what is written into the model meanwhile, one row.
    emphasis: which tokens of the prompt get more attention in `heads`; prompts of one batch have the same heads.
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
        """Tokens that have to fit behind the prompt."""
        return max([self.max_new_tokens, *map(len, self.continuations)])


class Answerer:
    """Reads prompts with one model. rows, batch_tokens: the largest batch. Keeps the keys and values of the last
    beginning that prompts shared until `forget`."""

    def __init__(self, loaded: LoadedModel, *, rows: int = ROWS, batch_tokens: int = BATCH_TOKENS) -> None:
        self.loaded, self.rows, self.batch_tokens = loaded, rows, batch_tokens
        self._ends = end_tokens(loaded)
        self._keep = "logits_to_keep" in inspect.signature(loaded.model.forward).parameters
        self._shared: tuple[int, ...] = ()
        self._cache: Cache | None = None

    def read(self, prompts: Sequence[Prompt], done: Callable[[int], None] = lambda count: None) -> list[Reply]:
        """A reply to each prompt, in order. done: called with the number of prompts after each batch.

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
            chosen = [prompts[place] for place in batch]
            replies.update(zip(batch, self._read(chosen, together), strict=True))
            done(len(batch))
        return [replies[place] for place in range(len(prompts))]

    def forget(self) -> None:
        """Let go of the shared beginning."""
        self._shared, self._cache = (), None

    def _beginning(self, prompts: Sequence[Prompt]) -> tuple[int, ...]:
        """What the prompts share, if that is most of each; the one that is kept, if it still serves."""
        if not prompts or any(one.intervention is not None or one.emphasis is not None for one in prompts):
            return ()  # what is written may reach back into the beginning, and differs by row
        if self._shared and all(one.ids[: len(self._shared)] == self._shared != one.ids for one in prompts):
            return self._shared
        first, last = min(one.ids for one in prompts), max(one.ids for one in prompts)
        # The last token is always read anew: its logits are what an answer starts from.
        most = min(len(one.ids) for one in prompts) - 1
        length = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), most)
        longest = max(len(one.ids) for one in prompts)
        if len(prompts) < 2 or length < SHARED or 2 * length < longest:
            return ()
        return first[:length]

    def _batches(self, prompts: Sequence[Prompt], alone: bool) -> Iterator[list[int]]:
        batch: list[int] = []
        size = self.loaded.model.config.get_text_config().vocab_size
        for place in sorted(range(len(prompts)), key=lambda p: (len(prompts[p].ids), p)):
            answers = max((prompts[p].longest for p in [*batch, place]), default=0)
            rows = len(batch) + 1
            full = rows * (len(prompts[place].ids) + answers) > self.batch_tokens or rows * answers * size > LOGITS
            if batch and (alone or rows > self.rows or full):
                yield batch
                batch = []
            batch.append(place)
        if batch:
            yield batch

    @torch.inference_mode()
    def _read(self, prompts: Sequence[Prompt], together: tuple[int, ...]) -> list[Reply]:
        cache, start = self._begun(together), len(together)
        rests = [one.ids[start:] for one in prompts]
        width = max(map(len, rests))
        ids = torch.zeros(len(rests), width, dtype=torch.long)
        seen = torch.zeros(len(rests), start + width, dtype=torch.bool)
        seen[:, :start] = True
        for row, rest in enumerate(rests):
            ids[row, width - len(rest) :] = torch.tensor(rest)
            seen[row, start + width - len(rest) :] = True
        with self._written(prompts):
            nlls, texts = self._answers(prompts, self._prefill(ids, seen, cache), seen, cache)
        cut(cache, start)
        return [
            Reply(
                tuple(nlls[row]),
                tuple(len(ids) - one.given for ids in one.continuations),
                texts[row],
                len(rests[row]) + sum(map(len, one.continuations)),
            )
            for row, one in enumerate(prompts)
        ]

    @contextmanager
    def _written(self, prompts: Sequence[Prompt]) -> Iterator[None]:
        """What the prompts want to be written into the model, and emphasised in it."""
        steering = stack([one.intervention for one in prompts])
        model, emphases = self.loaded.model, [one.emphasis for one in prompts]
        heads = next((one.heads for one in prompts if one.emphasis is not None), {})
        with steered(model, steering, [len(one.ids) for one in prompts]), biased_attention(model, emphases, heads):
            yield

    def _answers(
        self, prompts: Sequence[Prompt], logits: Float[Tensor, "rows vocab"], seen: Tensor, cache: Cache
    ) -> tuple[list[list[float]], list[str]]:
        """The NLLs of every row's continuations, and what each row generates. `seen` covers what is cached."""
        nlls: list[list[float]] = [[] for _ in prompts]
        for number in range(max(len(one.continuations) for one in prompts)):
            given = [one.continuations[number] if number < len(one.continuations) else () for one in prompts]
            skipped = [one.given for one in prompts]
            for row, nll in enumerate(self._continue(given, skipped, logits, seen, cache)):
                if given[row]:
                    nlls[row].append(nll)
            cut(cache, seen.shape[1])
        return nlls, self._generate([one.max_new_tokens for one in prompts], logits, seen, cache)

    def _begun(self, together: tuple[int, ...]) -> Cache:
        if not together:
            return growing_cache()
        if together != self._shared or self._cache is None:
            self.forget()
            cache = growing_cache()
            ids = torch.tensor([together])
            self._prefill(ids, torch.ones_like(ids, dtype=torch.bool), cache)
            self._shared, self._cache = together, cache
        return self._cache

    def _prefill(self, ids: Int[Tensor, "rows new"], seen: Tensor, cache: Cache) -> Float[Tensor, "rows vocab"]:
        begun = seen.shape[1] - ids.shape[1]
        step = max(1, PREFILL // ids.shape[0]) if ids.shape[1] > PREFILL else ids.shape[1]
        for at in range(0, ids.shape[1], step):
            part = ids[:, at : at + step]
            logits = self._step(part, seen[:, : begun + at + part.shape[1]], cache, last=True)
        return logits[:, -1]

    def _step(self, ids: Tensor, seen: Tensor, cache: Cache, *, last: bool = False) -> Tensor:
        """Feed tokens behind what is cached; logits of all of them, or of the last. `seen` covers cached and new."""
        options: dict[str, Any] = {"logits_to_keep": 1} if last and self._keep else {}
        device = self.loaded.device
        whole = bool(seen.all())
        positions = (seen.long().cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        out = self.loaded.model(
            input_ids=ids.to(device),
            attention_mask=None if whole else seen.to(device),
            position_ids=positions.to(device),
            past_key_values=cache,
            use_cache=True,
            **options,
        )
        logits: Tensor = out.logits
        return logits

    def _continue(
        self,
        given: Sequence[tuple[int, ...]],
        skipped: Sequence[int],
        logits: Float[Tensor, "rows vocab"],
        seen: Tensor,
        cache: Cache,
    ) -> list[float]:
        """NLL of a continuation of each row (0 for an empty one), without its first `skipped` tokens."""
        first = logits.float().log_softmax(-1)
        nlls = [
            -float(first[row, ids[0]]) if ids and not skip else 0.0
            for row, (ids, skip) in enumerate(zip(given, skipped, strict=True))
        ]
        width = max(map(len, given)) - 1
        if width < 1:
            return nlls
        ids = torch.zeros(len(given), width, dtype=torch.long)
        there = torch.ones(len(given), width, dtype=torch.bool)  # padding behind is seen by nothing that counts
        for row, tokens in enumerate(given):
            ids[row, : max(len(tokens) - 1, 0)] = torch.tensor(tokens[:-1], dtype=torch.long)
        out = self._step(ids, torch.cat([seen, there], 1), cache)
        for row, tokens in enumerate(given):
            if len(tokens) > 1:
                rows = out[row, : len(tokens) - 1].float().log_softmax(-1)
                wanted = torch.tensor(tokens[1:], device=rows.device)
                nlls[row] -= float(rows.gather(1, wanted[:, None])[max(skipped[row] - 1, 0) :].sum())
        return nlls

    def _generate(self, limits: Sequence[int], logits: Tensor, seen: Tensor, cache: Cache) -> list[str]:
        def feed(tokens: Tensor) -> Tensor:
            nonlocal seen
            seen = torch.cat([seen, torch.ones(len(limits), 1, dtype=torch.bool)], 1)
            return self._step(tokens, seen, cache, last=True)[:, -1]

        return decode_rows(self.loaded, logits, limits, feed, ends=self._ends)
