"""Likelihood of answers under many interventions: prompts are read once, and each intervention only reads the
answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from penchant.errors import InputError
from penchant.inference.batching import length_batches, pad_left, pad_right
from penchant.inference.cached_rows import CachedRows
from penchant.inference.intervention import Intervention, prompt_tail
from penchant.inference.runtime import Runtime
from penchant.models.loading import LoadedModel
from penchant.progress import Progress, no_progress

ROWS = 32
NEW_TOKENS = 4096
"""Most tokens after the prompts of one batch, padding included: their logits determine how much memory is needed."""
NEAR = 64
"""How many exchanges with prompts of similar length are grouped by the length of their answers."""
TAIL = 1
"""How many of the prompt's last tokens are read again with each answer: scopes can't begin earlier."""


@dataclass(frozen=True)
class Exchange:
    """prompt: token ids of the whole prompt. answer: token ids of the answer, at least one."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]


def losses(
    loaded: LoadedModel,
    exchanges: Sequence[Exchange],
    interventions: Sequence[Intervention | None],
    *,
    rows: int = ROWS,
    tail: int = TAIL,
    progress: Progress = no_progress,
) -> Float[Tensor, "interventions exchanges"]:
    """Return the NLL of each answer under each intervention, in nats per token, float32.

    interventions: each with a row for every exchange; None: no intervention.

    The prompt without its last `tail` tokens is read once and unsteered, so scopes are limited to those tokens and
    what follows. progress: called with the number of exchanges read, after each batch.

    Raises `InputError` for an empty prompt or answer, a wrong number of rows, or a scope that begins earlier.
    """
    if odd := [one.rows for one in interventions if one is not None and one.edits and one.rows != len(exchanges)]:
        raise InputError(f"an intervention with {odd[0]} rows for {len(exchanges)} exchanges: expected one for each")
    found = torch.zeros(len(interventions), len(exchanges))
    done = 0
    with _Hooks(loaded) as hooks, torch.inference_mode():
        for batch in batches(exchanges, rows, NEW_TOKENS):
            read = Prefilled(loaded, [exchanges[i] for i in batch], tail)
            for number, intervention in enumerate(interventions):
                of_batch = None if intervention is None else intervention.take(batch)
                found[number, torch.tensor(batch)] = _steered(read, of_batch, hooks).cpu()
            done += len(batch)
            progress("comparing interventions", done, len(exchanges))
    return found


class Prefilled:
    """Exchanges whose prompts have been read, except for the last `tail` tokens, with any intervention active at the
    time. The rest of the prompts and the answers can then be read any number of times. The prefilled part has no
    gradients; what follows does.

    Raises `InputError` for no exchanges, or an empty prompt or answer.
    """

    def __init__(self, loaded: LoadedModel, exchanges: Sequence[Exchange], tail: int) -> None:
        if not exchanges or not all(one.prompt and one.answer for one in exchanges):
            raise InputError("an exchange without a prompt or an answer: expected at least one token of each")
        self.loaded, self.tail = loaded, tail
        self.lengths = [len(one.prompt) for one in exchanges]
        """Tokens in each prompt."""
        heads = [one.prompt[: max(0, len(one.prompt) - tail)] for one in exchanges]
        # If the whole prompt has been read, the answer's first token is predicted by its last logits.
        rests = [(*one.prompt[len(head) :], *one.answer[:-1]) for one, head in zip(exchanges, heads, strict=True)]
        self._rests = pad_right(rests)
        # For each row, the new tokens that predict a token of the answer, and those targets.
        self._ends = [(len(rest), min(len(rest), len(one.answer))) for rest, one in zip(rests, exchanges, strict=True)]
        self._answers = [torch.tensor(one.answer, device=loaded.device) for one in exchanges]
        self._first = torch.zeros(len(heads), device=loaded.device)  # NLL of what the prompts end with, nats
        self._rows = CachedRows.empty(loaded, len(heads), room=0)
        with torch.no_grad():
            logits = self._rows.read(pad_left(heads), last=0 if tail else 1)
            if not tail:
                firsts = torch.stack([answer[0] for answer in self._answers])
                self._first = nn.functional.cross_entropy(logits[:, -1].float(), firsts, reduction="none")

    def losses(self) -> Float[Tensor, " rows"]:
        """Return the NLL of each answer, in nats per token, float32, under the intervention active now."""
        counts = torch.tensor([len(answer) for answer in self._answers], device=self.loaded.device)
        width = self._rests.ids.shape[1]
        if not width:
            return self._first / counts
        logits = self._rows.branch().read(self._rests, last=width)
        each = [
            nn.functional.cross_entropy(row[end - count : end].float(), answer[len(answer) - count :], reduction="sum")
            for row, (end, count), answer in zip(logits, self._ends, self._answers, strict=True)
        ]
        return (self._first + torch.stack(each)) / counts


def batches(exchanges: Sequence[Exchange], rows: int, new_tokens: int) -> Iterator[list[int]]:
    """Group positions of exchanges of similar length: at most `rows` per batch, and `new_tokens` of answers with
    padding (but at least one exchange).
    """
    order = sorted(range(len(exchanges)), key=lambda i: (len(exchanges[i].prompt), i))
    for start in range(0, len(order), NEAR):
        near = sorted(order[start : start + NEAR])
        answers = [len(exchanges[i].answer) for i in near]
        for batch in length_batches(answers, rows=rows, tokens=new_tokens):
            yield [near[i] for i in batch]


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
    """Keeps the runtime for the last requested sites; a new one is made only when they change."""

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
