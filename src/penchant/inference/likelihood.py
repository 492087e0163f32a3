"""How likely answers are under many interventions: prompts are read once, an intervention costs its answers only."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import Cache
from transformers.cache_utils import DynamicLayer

from penchant.errors import InputError
from penchant.inference.intervention import Intervention, prompt_tail
from penchant.inference.runtime import Runtime
from penchant.models.loading import LoadedModel
from penchant.progress import Progress, no_progress

ROWS = 32
NEW_TOKENS = 4096
"""Tokens behind the prompts of one batch, padding included: their logits decide how much memory is needed."""
NEAR = 64
"""Exchanges with prompts of similar length, among which answers of similar length are read together."""
TAIL = 1
"""Tokens of the prompt that are read again with each answer: scopes that begin in the prompt reach no farther back."""

Choice = Callable[[Sequence[int]], Intervention | None]
"""From the numbers of some rows to the intervention for them, row by row; None: none of them is steered."""


@dataclass(frozen=True)
class Exchange:
    """prompt: token ids of the whole prompt. answer: token ids of the answer, at least one."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]


def losses(
    loaded: LoadedModel,
    exchanges: Sequence[Exchange],
    choices: Sequence[Choice],
    *,
    rows: int = ROWS,
    tail: int = TAIL,
    progress: Progress = no_progress,
) -> Float[Tensor, "choices exchanges"]:
    """NLL of each answer under each choice of interventions, in nats a token, float32.

    The prompt without its last `tail` tokens is read once and unsteered, so scopes are limited to those tokens and
    what follows. progress: called with the number of exchanges read, after each batch.

    Raises `InputError` for an empty prompt or answer, or a scope that begins farther back.
    """
    found = torch.zeros(len(choices), len(exchanges))
    done = 0
    with _Hooks(loaded) as hooks, torch.inference_mode():
        for batch in batches(exchanges, rows, NEW_TOKENS):
            read = Prefilled(loaded, [exchanges[place] for place in batch], tail)
            for number, choice in enumerate(choices):
                found[number, torch.tensor(batch)] = _steered(read, choice(batch), hooks).cpu()
            done += len(batch)
            progress("comparing interventions", done, len(exchanges))
    return found


class Prefilled:
    """Exchanges whose prompts have been read, as what is written then has them, without their last `tail` tokens: the
    rest of them and the answers can be read any number of times. What has been read has no gradients, what is read
    behind it does.

    Raises `InputError` for no exchanges, or an empty prompt or answer.
    """

    def __init__(self, loaded: LoadedModel, exchanges: Sequence[Exchange], tail: int) -> None:
        if not exchanges or not all(one.prompt and one.answer for one in exchanges):
            raise InputError("an exchange without a prompt or an answer: expected at least one token of each")
        self.loaded, self.tail = loaded, tail
        self.lengths = [len(one.prompt) for one in exchanges]
        """Tokens of each prompt."""
        heads = [one.prompt[: max(0, len(one.prompt) - tail)] for one in exchanges]
        # With nothing of the prompt left to read, the answer's first token is predicted by what has been read.
        rests = [(*one.prompt[len(head) :], *one.answer[:-1]) for one, head in zip(exchanges, heads, strict=True)]
        self._width, longest = max(map(len, heads)), max(map(len, rests))
        ids = torch.zeros(len(heads), self._width + longest, dtype=torch.long)
        seen = torch.zeros_like(ids, dtype=torch.bool)
        for row, (head, rest) in enumerate(zip(heads, rests, strict=True)):
            for at, tokens in ((self._width - len(head), head), (self._width, rest)):
                ids[row, at : at + len(tokens)] = torch.tensor(tokens, dtype=torch.long)
                seen[row, at : at + len(tokens)] = True
        self._ids, self._seen = ids.to(loaded.device), seen.to(loaded.device)
        self._positions = (self._seen.long().cumsum(1) - 1).clamp(min=0)
        # Of each row the new tokens that predict some of the answer, and what they should.
        self._ends = [(len(rest), min(len(rest), len(one.answer))) for rest, one in zip(rests, exchanges, strict=True)]
        self._answers = [torch.tensor(one.answer, device=loaded.device) for one in exchanges]
        self._prefix: list[tuple[Tensor, Tensor]] = []
        self._first = torch.zeros(len(heads), device=loaded.device)  # nats of what the prompts' ends predict
        if self._width:
            with torch.no_grad():
                self._read_prompts()

    def losses(self) -> Float[Tensor, " rows"]:
        """NLL of each answer, in nats a token, float32, under whatever is written meanwhile."""
        counts = torch.tensor([len(answer) for answer in self._answers], device=self.loaded.device)
        if self._ids.shape[1] == self._width:
            return self._first / counts
        logits = self._forward(self.loaded.model, self._width, self._ids.shape[1], self._cache())
        each = [
            nn.functional.cross_entropy(row[end - count : end].float(), answer[len(answer) - count :], reduction="sum")
            for row, (end, count), answer in zip(logits, self._ends, self._answers, strict=True)
        ]
        return (self._first + torch.stack(each)) / counts

    def _read_prompts(self) -> None:
        cache = Cache(layer_class_to_replicate=DynamicLayer)
        if self.tail:
            self._forward(self.loaded.base, 0, self._width, cache)
        else:
            keep = "logits_to_keep" in inspect.signature(self.loaded.model.forward).parameters
            options = {"logits_to_keep": 1} if keep else {}
            logits = self._forward(self.loaded.model, 0, self._width, cache, **options)[:, -1].float()
            firsts = torch.stack([answer[0] for answer in self._answers])
            self._first = nn.functional.cross_entropy(logits, firsts, reduction="none")
        self._prefix = [(one.keys, one.values) for one in cache.layers]  # type: ignore[union-attr,misc]

    def _cache(self) -> Cache:
        """The prompts' keys and values in a cache of its own: what is read behind them leaves them as they are."""
        layers: list[Any] = []
        for keys, values in self._prefix:
            layer = DynamicLayer()  # type: ignore[no-untyped-call]
            layer.lazy_initialization(keys, values)
            layer.keys, layer.values = keys, values
            layers.append(layer)
        return Cache(layers=layers) if layers else Cache(layer_class_to_replicate=DynamicLayer)

    def _forward(self, model: nn.Module, start: int, end: int, cache: Cache, **options: int) -> Tensor:
        out = model(
            input_ids=self._ids[:, start:end],
            attention_mask=self._seen[:, :end],
            position_ids=self._positions[:, start:end],
            past_key_values=cache,
            use_cache=True,
            **options,
        )
        result: Tensor = out[0]
        return result


def batches(exchanges: Sequence[Exchange], rows: int, new_tokens: int) -> Iterator[list[int]]:
    """Places of exchanges to be read together: at most `rows`, and `new_tokens` of answers with their padding (but at
    least one exchange). They are alike in length, so that little is padding."""
    order = sorted(range(len(exchanges)), key=lambda place: (len(exchanges[place].prompt), place))
    for start in range(0, len(order), NEAR):
        batch: list[int] = []
        for place in sorted(order[start : start + NEAR], key=lambda place: (len(exchanges[place].answer), place)):
            if batch and (len(batch) == rows or (len(batch) + 1) * len(exchanges[place].answer) > new_tokens):
                yield batch
                batch = []
            batch.append(place)
        yield batch


def _steered(read: Prefilled, intervention: Intervention | None, hooks: _Hooks) -> Float[Tensor, " rows"]:
    if intervention is None or not intervention.edits:
        return read.losses()
    reach = prompt_tail(intervention.scope)
    if reach is None or reach > read.tail:
        raise InputError(
            f"scope {intervention.scope}: expected one that begins in the prompt's last {read.tail} tokens"
        )
    with hooks.at(intervention).steering(intervention, read.lengths):
        return read.losses()


class _Hooks:
    """The runtime for the sites that were last asked for; made anew only when they change."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self._runtime: Runtime | None = None

    def __enter__(self) -> _Hooks:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._runtime is not None:
            self._runtime.close()

    def at(self, intervention: Intervention) -> Runtime:
        sites = tuple(sorted(intervention.edits))
        if self._runtime is None or self._runtime.sites != sites:
            self.__exit__()
            self._runtime = Runtime(self.loaded.model, sites)
        return self._runtime
