"""How much of what the full history would have told the model a profile still tells it."""

from __future__ import annotations

import inspect
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache

from penchant.compression.layout import lay_out
from penchant.compression.profile import Profile
from penchant.compression.prompt import answer_messages
from penchant.errors import InputError
from penchant.history.records import History, Request, Segment
from penchant.models.chat import prompt_ids, render_chat
from penchant.models.loading import LoadedModel

CHUNK = 1024  # prompt tokens per forward pass: bounds activations on long histories


@dataclass(frozen=True)
class FaithfulnessReport:
    """mass_kept: share of the positive marking mass in the profile, 0 to 1.

    The rest is None unless it was asked for. kl_profile: KL(answer given the full history || given the profile), nats
    per token, mean over the first `answer_tokens` tokens of the answer that the full history leads to. kl_none: the
    same for no history at all: what the profile has to beat. share_kept: 1 - kl_profile / kl_none (1: the profile says
    all that the history says; 0: no more than nothing; may be negative). full_tokens, profile_tokens: sizes of the
    prompts. dropped_tokens: tokens of the oldest records that the window left no room for, 0 when the full history was
    read. seconds: wall time.
    """

    mass_kept: float
    kl_profile: float | None = None
    kl_none: float | None = None
    answer_tokens: int = 0
    full_tokens: int = 0
    profile_tokens: int = 0
    dropped_tokens: int = 0
    seconds: float = 0.0

    @property
    def share_kept(self) -> float | None:
        if self.kl_profile is None or not self.kl_none:
            return None
        return 1.0 - self.kl_profile / self.kl_none

    def __str__(self) -> str:
        said = f"attention mass kept {self.mass_kept:.0%}"
        if self.kl_profile is None or self.kl_none is None:
            return said
        said += f"; KL to the full history {self.kl_profile:.3f} nats a token (without any history {self.kl_none:.3f})"
        if self.dropped_tokens:
            said += f"; the oldest {self.dropped_tokens} tokens of the history did not fit into the window"
        return said


def faithfulness(
    loaded: LoadedModel, history: History, request: Request, profile: Profile, *, answer_tokens: int = 1
) -> FaithfulnessReport:
    """Report on one profile; runs the model over the full history, so it takes as long as that.

    answer_tokens: over how many tokens of the answer the distributions are compared (the first is the next-token
    distribution; the others follow the greedy answer given the full history); 0: only the mass, no model is run.
    Where the history exceeds the window its oldest records are left out, and the report says how many tokens.

    Raises `InputError` for a negative `answer_tokens` and for a request or profile that doesn't fit into the window.
    """
    if answer_tokens < 0:
        raise InputError(f"answer_tokens is {answer_tokens}: expected 0 or more")
    if answer_tokens == 0:
        return FaithfulnessReport(mass_kept=profile.mass_kept)
    started = time.perf_counter()
    full, dropped = _full_prompt(loaded, history, request, answer_tokens)
    answer, expected = _follow(loaded, full, answer_tokens)
    divergences = []
    brief = _prompt(loaded, profile.text, request)
    for ids in (brief, _prompt(loaded, None, request)):
        if len(ids) + len(answer) > loaded.window:
            raise InputError(
                f"prompt ({len(ids)} tokens) and answer ({len(answer)}) exceed the window of {loaded.window}: "
                "lower answer_tokens or the budget"
            )
        got = _log_probs(loaded, [*ids, *answer[:-1]], len(answer))
        divergences.append(float((expected.exp() * (expected - got)).sum(dim=-1).mean().clamp_min(0.0)))
    return FaithfulnessReport(
        mass_kept=profile.mass_kept,
        kl_profile=divergences[0],
        kl_none=divergences[1],
        answer_tokens=len(answer),
        full_tokens=len(full),
        profile_tokens=len(brief),
        dropped_tokens=dropped,
        seconds=time.perf_counter() - started,
    )


def _prompt(loaded: LoadedModel, text: str | None, request: Request) -> list[int]:
    return prompt_ids(loaded, render_chat(loaded, answer_messages(text, request)))


def _full_prompt(loaded: LoadedModel, history: History, request: Request, answer_tokens: int) -> tuple[list[int], int]:
    """The prompt with as many of the newest records as fit, and how many tokens of the history were left out."""
    whole = [Segment(i, r.id, 0, len(r.body), r.body) for i, r in enumerate(history)]

    def size(first: int) -> int:
        text = lay_out(history, whole[first:])
        ids = loaded.tokenizer(
            render_chat(loaded, answer_messages(text, request)), add_special_tokens=False, verbose=False
        )
        return len(ids["input_ids"]) + 1  # a begin-of-text token may come on top

    room = loaded.window - answer_tokens
    all_tokens = size(0)
    if all_tokens <= room:
        return _prompt(loaded, lay_out(history, whole), request), 0
    low, high = 1, len(whole)  # the first record that is read
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if size(middle) <= room else (middle + 1, high)
    return _prompt(loaded, lay_out(history, whole[low:]), request), all_tokens - size(low)


def _follow(loaded: LoadedModel, ids: Sequence[int], count: int) -> tuple[list[int], Float[Tensor, "answer vocab"]]:
    """The greedy answer to a prompt and the log-probabilities, float64, that each of its tokens was chosen from."""
    cache = DynamicCache(config=loaded.model.config)
    rows = [_forward(loaded, ids, cache, 1)]
    answer = [int(rows[0][-1].argmax())]
    while len(answer) < count:
        rows.append(_forward(loaded, answer[-1:], cache, 1))
        answer.append(int(rows[-1][-1].argmax()))
    return answer, torch.cat(rows)


def _log_probs(loaded: LoadedModel, ids: Sequence[int], keep: int) -> Float[Tensor, "keep vocab"]:
    """Log-probabilities, float64, after each of the last `keep` tokens."""
    return _forward(loaded, ids, DynamicCache(config=loaded.model.config), keep)


@torch.no_grad()
def _forward(loaded: LoadedModel, ids: Sequence[int], cache: DynamicCache, keep: int) -> Float[Tensor, "keep vocab"]:
    """Feed `ids` behind what is cached, in chunks; log-probabilities after the last `keep`. The cache grows."""
    takes_keep = "logits_to_keep" in inspect.signature(loaded.model.forward).parameters
    rows: list[Tensor] = []
    for start in range(0, len(ids), CHUNK):
        chunk = list(ids[start : start + CHUNK])
        wanted = min(len(chunk), max(1, start + len(chunk) - (len(ids) - keep)))
        options = {"logits_to_keep": wanted} if takes_keep else {}
        batch = torch.tensor([chunk], device=loaded.device)
        logits = loaded.model(input_ids=batch, past_key_values=cache, use_cache=True, **options).logits
        rows.append(logits[0, -wanted:].double().cpu())
    return torch.log_softmax(torch.cat(rows)[-keep:], dim=-1)
