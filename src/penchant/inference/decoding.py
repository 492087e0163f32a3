"""Answers of several rows at once, token by token: what each takes next, and where it ends."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from penchant.models.chat import ROLES
from penchant.models.loading import LoadedModel

Feed = Callable[[Int[Tensor, "rows 1"]], Float[Tensor, "rows vocab"]]
"""From each row's new token to the logits behind it."""
Pick = Callable[[Float[Tensor, "rows vocab"], Sequence[bool]], list[int]]
"""From logits, and which rows go on, to each row's next token."""


def likeliest(logits: Float[Tensor, "rows vocab"], going: Sequence[bool]) -> list[int]:
    """Greedy decoding."""
    picked: list[int] = logits.argmax(-1).tolist()
    return picked


def decode_rows(
    loaded: LoadedModel,
    logits: Float[Tensor, "rows vocab"],
    limits: Sequence[int],
    feed: Feed,
    *,
    ends: Collection[int],
    pick: Pick = likeliest,
) -> list[str]:
    """What each row answers behind a prompt. logits: behind the prompts. limits: most tokens of each row. ends:
    `end_tokens` of the model.

    A row ends at one of `ends`, at its limit, or for a model without a chat template where it begins the next
    turn itself; what it takes after that is of no account, and when all have ended nothing is fed any more.
    """
    made: list[list[int]] = [[] for _ in limits]
    going = [limit > 0 for limit in limits]
    while any(going):
        picked = pick(logits, going)
        for row, token in enumerate(picked):
            if going[row] and token in ends:
                going[row] = False
            elif going[row]:
                made[row].append(token)
                going[row] = len(made[row]) < limits[row] and not _turned(loaded, made[row])
        if any(going):
            logits = feed(torch.tensor(picked)[:, None])
    decode = loaded.tokenizer.decode
    return [cut_answer(loaded, str(decode(tokens, skip_special_tokens=True))) for tokens in made]


def cut_answer(loaded: LoadedModel, text: str) -> str:
    """A generated answer as a user would see it: a model without a chat template goes on with the next turn."""
    if not loaded.tokenizer.chat_template:
        for mark in (f"\n{role}:" for role in ROLES.values()):
            text = text.partition(mark)[0]
    return text.strip()


def _turned(loaded: LoadedModel, tokens: list[int]) -> bool:
    """A model without a template has begun the next turn by itself."""
    if loaded.tokenizer.chat_template:
        return False
    tail = str(loaded.tokenizer.decode(tokens[-6:]))
    return any(f"\n{role}:" in tail for role in ROLES.values())
