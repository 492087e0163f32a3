"""Generation: one row or many, streamed or whole, greedy or sampled."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError
from penchant.inference.batching import length_batches, pad_left
from penchant.inference.cached_rows import CachedRows
from penchant.inference.stopping import AnswerText, end_tokens, stop_texts
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import prompt_ids

ROWS = 16
BATCH_TOKENS = 16384


@dataclass(frozen=True)
class PromptTokens:
    """A prompt and its sampling options. max_new_tokens: longest answer. temperature: 0 takes the likeliest token;
    above 0 samples with `seed` (None: a different sample each time). stop: the answer ends before the first of these
    texts.
    """

    ids: tuple[int, ...]
    max_new_tokens: int
    temperature: float = 0.0
    seed: int | str | None = None
    stop: tuple[str, ...] = ()


def batches(prompts: Sequence[PromptTokens], rows: int = ROWS, tokens: int = BATCH_TOKENS) -> Iterator[list[int]]:
    """Group positions of prompts of similar length: at most `rows` per batch, and `tokens` with padding and answers
    (but at least one prompt).
    """
    return length_batches(
        [len(prompt.ids) for prompt in prompts],
        rows=rows,
        tokens=tokens,
        behind=[prompt.max_new_tokens for prompt in prompts],
    )


@torch.inference_mode()
def generate(loaded: LoadedModel, prompts: Sequence[PromptTokens]) -> list[str]:
    """Generate the answers to one batch of prompts, which must fit the window together with their answers. Inside
    `steered`, each row is steered by its own vectors.

    Prompts are padded on the left and read once. A row's samples depend on its seed and its logits only, not on other
    rows (though padding can change the last digits of a logit).
    """
    rows = CachedRows.empty(loaded, len(prompts), rewind=False)
    logits = rows.prefill(pad_left([prompt.ids for prompt in prompts]))
    return answers(loaded, rows.feed, logits, prompts)


def generate_stream(
    loaded: LoadedModel,
    prompt: str,
    *,
    max_new_tokens: int = 256,
    temperature: float = 0.0,
    seed: int | None = None,
    stop: str | Iterable[str] | None = None,
) -> Iterator[str]:
    """Generate the continuation of `prompt`, yielding pieces of text.

    temperature: 0 takes the likeliest token; above 0 samples with `seed`. Ends at the model's end tokens, at its chat
    template's end of turn, before the first of the `stop` texts, after `max_new_tokens`, or at the end of the window. A
    piece never splits a character. Runs in the caller's thread; closing the iterator ends generation.

    Raises `InputError` at once (not at the first piece) for a prompt that doesn't fit or an option out of range.
    """
    ids = prompt_ids(loaded, prompt)
    if max_new_tokens < 1:
        raise InputError(f"max_new_tokens is {max_new_tokens}: expected at least 1")
    if not 0 <= temperature < float("inf"):
        raise InputError(f"temperature is {temperature}: expected 0 or more")
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    most = min(max_new_tokens, loaded.window - len(ids))
    stops += stop_texts(loaded, prompt)
    return _stream(loaded, PromptTokens(tuple(ids), most, temperature, seed, stops))


def _stream(loaded: LoadedModel, prompt: PromptTokens) -> Iterator[str]:
    with torch.no_grad():
        rows = CachedRows.empty(loaded, 1, rewind=False)
        logits = rows.prefill(pad_left([prompt.ids]))
    for (piece,) in decode(loaded, rows.feed, logits, [prompt]):
        if piece:
            yield piece


Feed = Callable[[list[int]], Float[Tensor, "rows vocab"]]
"""Takes each row's new token, and returns the logits after it."""


def answers(
    loaded: LoadedModel, feed: Feed, logits: Float[Tensor, "rows vocab"], prompts: Sequence[PromptTokens]
) -> list[str]:
    """Return the whole answer of each row, as a user would see it; see `decode`. Without a chat template, an answer
    also ends where the next turn begins.
    """
    stops = stop_texts(loaded)
    steps = list(decode(loaded, feed, logits, [replace(one, stop=(*one.stop, *stops)) for one in prompts]))
    return ["".join(step[row] for step in steps).strip() for row in range(len(prompts))]


def decode(
    loaded: LoadedModel, feed: Feed, logits: Float[Tensor, "rows vocab"], prompts: Sequence[PromptTokens]
) -> Iterator[list[str]]:
    """Yield the pieces of every row's answer, step by step. logits: those after the prompts.

    A row ends at one of the model's end tokens, before one of its stop texts, or at its limit; later tokens are
    ignored, and decoding stops when all rows have ended.
    """
    ends = end_tokens(loaded)
    texts = [AnswerText(loaded, one.stop) for one in prompts]
    draws = [random.Random(one.seed) if one.temperature else None for one in prompts]
    left = [one.max_new_tokens for one in prompts]
    while any(left):
        picked = _pick(logits, prompts, [draw if more else None for draw, more in zip(draws, left, strict=True)])
        pieces = [""] * len(prompts)
        for row, (token, text) in enumerate(zip(picked, texts, strict=True)):
            if not left[row]:
                continue
            pieces[row] = "" if token in ends else text.add(token)
            left[row] = 0 if token in ends or text.stopped else left[row] - 1
            if not left[row]:
                pieces[row] += text.finish()
        yield pieces
        if any(left):
            with torch.no_grad():
                logits = feed(picked)


def _pick(
    logits: Float[Tensor, "rows vocab"], prompts: Sequence[PromptTokens], draws: Sequence[random.Random | None]
) -> list[int]:
    """Return each row's next token: sampled if the row has a generator, else the likeliest."""
    picked: list[int] = logits.argmax(-1).tolist()
    for row, draw in enumerate(draws):
        if draw is not None:
            scaled = logits[row].float().cpu().double() / prompts[row].temperature
            heaped = torch.softmax(scaled, -1).cumsum(-1)
            at = torch.searchsorted(heaped, draw.random() * float(heaped[-1]), right=True)
            picked[row] = min(int(at), len(heaped) - 1)
    return picked
