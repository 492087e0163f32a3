"""Answers of a model to many prompts, in batches: greedy, or sampled with a seed of each prompt's own."""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import Cache

from penchant.inference.decoding import decode_rows, likeliest
from penchant.inference.kv_cache import growing_cache
from penchant.models.chat import PREFILL, end_tokens
from penchant.models.loading import LoadedModel

ROWS = 16
BATCH_TOKENS = 16384


@dataclass(frozen=True)
class Start:
    """ids: a prompt's tokens. most: how many to generate at most. seed: of the sampling; None takes the likeliest."""

    ids: tuple[int, ...]
    most: int
    seed: str | None = None


def batches(starts: Sequence[Start], rows: int = ROWS, tokens: int = BATCH_TOKENS) -> Iterator[list[int]]:
    """Places of the starts, those of similar length together: at most `rows` to a batch, and `tokens` with padding and
    answers (but at least one prompt)."""
    batch: list[int] = []
    for place in sorted(range(len(starts)), key=lambda p: (len(starts[p].ids), p)):
        answer = max(starts[p].most for p in [*batch, place])
        if batch and (len(batch) == rows or (len(batch) + 1) * (len(starts[place].ids) + answer) > tokens):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


@torch.inference_mode()
def generate(loaded: LoadedModel, starts: Sequence[Start], temperature: float = 1.0) -> list[str]:
    """The answers to one batch of prompts, which have to fit the window with their answers.

    Prompts are padded on the left and read once; where a row ends, `decode_rows` says. What a row samples depends on
    its seed and its logits alone, not on the rows beside it (whose padding can change a logit in its last digits).
    """
    width = max(len(start.ids) for start in starts)
    ids = torch.zeros(len(starts), width, dtype=torch.long)
    seen = torch.zeros(len(starts), width, dtype=torch.bool)
    for row, start in enumerate(starts):
        ids[row, width - len(start.ids) :] = torch.tensor(start.ids)
        seen[row, width - len(start.ids) :] = True
    cache = growing_cache()
    step = max(1, PREFILL // len(starts))
    for at in range(0, width, step):
        logits = _step(loaded, ids[:, at : at + step], seen[:, : at + step], cache)
    chances = [None if start.seed is None else random.Random(start.seed) for start in starts]

    def pick(logits: Tensor, going: Sequence[bool]) -> list[int]:
        return _pick(logits, chances, going, temperature)

    def feed(tokens: Tensor) -> Tensor:
        nonlocal seen
        seen = torch.cat([seen, torch.ones(len(starts), 1, dtype=torch.bool)], 1)
        return _step(loaded, tokens, seen, cache)

    return decode_rows(loaded, logits, [start.most for start in starts], feed, ends=end_tokens(loaded), pick=pick)


def _step(loaded: LoadedModel, ids: Tensor, seen: Tensor, cache: Cache) -> Float[Tensor, "rows vocab"]:
    """Feed tokens [rows, new] behind what is cached; float32 logits after the last, on the CPU."""
    keep = "logits_to_keep" in inspect.signature(loaded.model.forward).parameters
    options: dict[str, Any] = {"logits_to_keep": 1} if keep else {}
    positions = (seen.long().cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    out = loaded.model(
        input_ids=ids.to(loaded.device),
        attention_mask=seen.to(loaded.device),
        position_ids=positions.to(loaded.device),
        past_key_values=cache,
        use_cache=True,
        **options,
    )
    logits: Tensor = out.logits[:, -1].float().cpu()
    return logits


def _pick(
    logits: Float[Tensor, "rows vocab"],
    chances: Sequence[random.Random | None],
    going: Sequence[bool],
    temperature: float,
) -> list[int]:
    picked = likeliest(logits, going)
    for row, chance in enumerate(chances):
        if chance is not None and going[row]:
            heaped = torch.softmax(logits[row].double() / temperature, -1).cumsum(-1)
            place = torch.searchsorted(heaped, chance.random() * float(heaped[-1]), right=True)
            picked[row] = min(int(place), logits.shape[1] - 1)
    return picked
