"""Faithfulness: how much of the information in the full history a profile still gives the model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.compression.layout import lay_out
from penchant.compression.profile import Profile
from penchant.compression.prompt import answer_messages
from penchant.errors import InputError
from penchant.history.records import History, Request, Segment
from penchant.inference.batching import pad_left
from penchant.inference.cached_rows import CachedRows
from penchant.inference.forward import PREFILL
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import opening_ids, prompt_ids


@dataclass(frozen=True)
class FaithfulnessReport:
    """How faithful a profile is. mass_kept: share of the positive marking mass in the profile, 0 to 1.

    The other fields are None unless requested. kl_profile: KL(answer given the full history || given the profile), nats
    per token, mean over the first `answer_tokens` tokens of the greedy answer given the full history. kl_none: the same
    without any history: the value that the profile has to beat. share_kept: 1 - kl_profile / kl_none (1: as good as the
    history; 0: no better than nothing; may be negative). full_tokens, profile_tokens: sizes of the prompts.
    dropped_tokens: tokens of the oldest records that didn't fit the window; 0 if the full history was read. seconds:
    wall time.
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
        said += f"; KL to the full history {self.kl_profile:.3f} nats a token (without any history {self.kl_none:.3f}"
        said += ")" if self.share_kept is None else f"; share kept {self.share_kept:.2f})"
        if self.dropped_tokens:
            said += f"; the oldest {self.dropped_tokens} tokens of the history did not fit into the window"
        return said


def faithfulness(
    loaded: LoadedModel, history: History, request: Request, profile: Profile, *, answer_tokens: int = 1
) -> FaithfulnessReport:
    """Report on one profile. Takes as long as running the model over the full history.

    answer_tokens: how many tokens of the answer are compared (the first is the next-token distribution; the others
    follow the greedy answer given the full history); 0: only the mass, without running the model. If the history
    exceeds the window, its oldest records are left out, and the report says how many tokens they have.

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
    """Return the prompt with as many of the newest records as fit, and how many tokens of the history were left out."""
    whole = [Segment(i, r.id, 0, len(r.body), r.body) for i, r in enumerate(history)]

    def size(first: int) -> int:
        text = lay_out(history, whole[first:])
        return len(opening_ids(loaded, render_chat(loaded, answer_messages(text, request))))

    room = loaded.window - answer_tokens
    all_tokens = size(0)
    if all_tokens <= room:
        return _prompt(loaded, lay_out(history, whole), request), 0
    low, high = 1, len(whole)  # the first record in the prompt
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if size(middle) <= room else (middle + 1, high)
    return _prompt(loaded, lay_out(history, whole[low:]), request), all_tokens - size(low)


@torch.no_grad()
def _follow(loaded: LoadedModel, ids: Sequence[int], count: int) -> tuple[list[int], Float[Tensor, "answer vocab"]]:
    """Return the greedy answer to a prompt, and the log-probabilities, float64, from which each token was chosen."""
    rows = CachedRows.empty(loaded, 1, rewind=False)
    found = [_log_softmax(rows.prefill(pad_left([ids])))]
    answer = [int(found[0].argmax())]
    while len(answer) < count:
        found.append(_log_softmax(rows.feed(answer[-1:])))
        answer.append(int(found[-1].argmax()))
    return answer, torch.cat(found)


@torch.no_grad()
def _log_probs(loaded: LoadedModel, ids: Sequence[int], keep: int) -> Float[Tensor, "keep vocab"]:
    """Return log-probabilities, float64, after each of the last `keep` tokens."""
    rows = CachedRows.empty(loaded, 1, rewind=False)
    return _log_softmax(rows.read(pad_left([ids]), last=keep, step=PREFILL)[0])


def _log_softmax(logits: Float[Tensor, "rows vocab"]) -> Float[Tensor, "rows vocab"]:
    return torch.log_softmax(logits.double().cpu(), dim=-1)
