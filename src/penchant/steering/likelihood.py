"""How likely answers are under many interventions: prompts are read once, an intervention costs its answers only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError
from penchant.models.kv import cut, growing_cache
from penchant.models.loading import LoadedModel
from penchant.steering.intervention import Intervention, prompt_tail
from penchant.steering.runtime import Runtime

ROWS = 32
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
    done: Callable[[int], None] = lambda count: None,
) -> Float[Tensor, "choices exchanges"]:
    """NLL of each answer under each choice of interventions, in nats a token, float32.

    The prompt without its last `tail` tokens is read once and unsteered, so scopes are limited to those tokens and
    what follows. done: called with the number of exchanges after each batch.

    Raises `InputError` for an empty prompt or answer, or a scope that begins farther back.
    """
    for one in exchanges:
        if len(one.prompt) < 1 or not one.answer:
            raise InputError("an exchange without a prompt or an answer: expected at least one token of each")
    found = torch.zeros(len(choices), len(exchanges))
    with _Hooks(loaded) as hooks:
        for batch in _batches(exchanges, rows):
            chosen = [exchanges[place] for place in batch]
            read = _Prefilled(loaded, chosen, tail)
            for number, choice in enumerate(choices):
                found[number, torch.tensor(batch)] = read.nll(choice(batch), hooks)
            done(len(batch))
    return found


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


class _Prefilled:
    """A batch of exchanges whose prompts are in a cache, left-padded, without their last tokens."""

    def __init__(self, loaded: LoadedModel, exchanges: Sequence[Exchange], tail: int) -> None:
        self.loaded, self.exchanges, self.tail = loaded, exchanges, tail
        begun = [one.prompt[: max(0, len(one.prompt) - tail)] for one in exchanges]
        self.width = max(map(len, begun))
        self.rests = [(*one.prompt[len(head) :], *one.answer[:-1]) for one, head in zip(exchanges, begun, strict=True)]
        longest = max(map(len, self.rests))
        heads = torch.zeros(len(begun), self.width, dtype=torch.long)
        self.new = torch.zeros(len(begun), longest, dtype=torch.long)
        seen = torch.zeros(len(begun), self.width + longest, dtype=torch.bool)
        for row, (head, rest) in enumerate(zip(begun, self.rests, strict=True)):
            heads[row, self.width - len(head) : self.width] = torch.tensor(head, dtype=torch.long)
            self.new[row, : len(rest)] = torch.tensor(rest)
            seen[row, self.width - len(head) : self.width + len(rest)] = True
        self.seen, self.cache = seen, growing_cache()
        if self.width:
            self._forward(heads, seen[:, : self.width], loaded.base)

    @torch.inference_mode()
    def nll(self, intervention: Intervention | None, hooks: _Hooks) -> Float[Tensor, rows]:
        if intervention is None or not intervention.edits:
            logits = self._forward(self.new, self.seen, self.loaded.model)
        else:
            reach = prompt_tail(intervention.scope)
            if reach is None or reach > self.tail:
                raise InputError(
                    f"scope {intervention.scope}: expected one that begins in the prompt's last {self.tail} tokens"
                )
            lengths = [len(one.prompt) for one in self.exchanges]
            with hooks.at(intervention).steering(intervention, lengths):
                logits = self._forward(self.new, self.seen, self.loaded.model)
        cut(self.cache, self.width)
        return torch.stack([self._of_row(row, logits[row]) for row in range(len(self.exchanges))])

    def _of_row(self, row: int, logits: Tensor) -> Tensor:
        answer = torch.tensor(self.exchanges[row].answer, device=logits.device)
        last = len(self.rests[row])
        read = logits[last - len(answer) : last].float().log_softmax(-1)
        return -read.gather(1, answer[:, None]).mean().cpu()

    @torch.inference_mode()
    def _forward(self, ids: Tensor, seen: Tensor, model: torch.nn.Module) -> Tensor:
        device = self.loaded.device
        positions = (seen.long().cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        out = model(
            input_ids=ids.to(device),
            attention_mask=seen.to(device),
            position_ids=positions.to(device),
            past_key_values=self.cache,
            use_cache=True,
        )
        result: Tensor = out[0]
        return result


def _batches(exchanges: Sequence[Exchange], rows: int) -> Iterator[list[int]]:
    """Of similar length, so that little is padding."""
    order = sorted(range(len(exchanges)), key=lambda place: (len(exchanges[place].prompt), place))
    for start in range(0, len(order), rows):
        yield order[start : start + rows]
