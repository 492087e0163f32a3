"""Generation: one row or many, streamed or whole, greedy or sampled."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError
from penchant.history.dialogue import Finish
from penchant.inference.answer_row import AnswerRow, PromptTokens, pick
from penchant.inference.batching import length_batches, pad_left
from penchant.inference.cached_rows import CachedRows
from penchant.inference.sampling import GREEDY, Sampling
from penchant.inference.stopping import end_tokens, stop_texts
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import prompt_ids

ROWS = 16
BATCH_TOKENS = 16384


@dataclass(frozen=True)
class Generated:
    """An answer. finish: why it ended."""

    text: str
    finish: Finish


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
def generate(loaded: LoadedModel, prompts: Sequence[PromptTokens]) -> list[Generated]:
    """Generate the answers to one batch of prompts, which must fit the window together with their answers. Inside
    `steered`, each row is steered by its own vectors.

    Prompts are padded on the left and read once. A row's samples depend on its seed and its logits only, not on other
    rows (though padding can change the last digits of a logit).
    """
    rows = CachedRows.empty(loaded, len(prompts), rewind=False)
    logits = rows.prefill(pad_left([prompt.ids for prompt in prompts]))
    return answers(loaded, rows.feed, logits, prompts)


class AnswerStream(Iterator[str]):
    """Yields the pieces of one answer; `finish` says why it ended, once it has ended."""

    def __init__(self, steps: Generator[list[str], None, list[Finish]]) -> None:
        self.finish: Finish | None = None
        self._steps = steps

    def __next__(self) -> str:
        while True:
            try:
                (piece,) = next(self._steps)
            except StopIteration as ended:
                if ended.value:
                    (self.finish,) = ended.value
                raise StopIteration from None
            if piece:
                return piece

    def close(self) -> None:
        """End generation."""
        self._steps.close()


def generate_stream(
    loaded: LoadedModel,
    prompt: str,
    *,
    max_new_tokens: int = 256,
    sampling: Sampling = GREEDY,
    stop: str | Iterable[str] | None = None,
    stop_repetition: bool = True,
) -> AnswerStream:
    """Generate the continuation of `prompt`, yielding pieces of text.

    sampling: how tokens are chosen; `own_sampling` gives the model's own settings. Ends at the model's end tokens, at
    its chat template's end of turn, before the first of the `stop` texts, when the text repeats itself (with
    `stop_repetition`), after `max_new_tokens`, or at the end of the window. A piece never splits a character. Runs in
    the caller's thread; closing the iterator ends generation.

    Raises `InputError` at once (not at the first piece) for a prompt that doesn't fit or an option out of range.
    """
    prepared = prompt_tokens(loaded, prompt, max_new_tokens=max_new_tokens, sampling=sampling, stop=stop)
    return AnswerStream(_steps(loaded, replace(prepared, stop_repetition=stop_repetition)))


def prompt_tokens(
    loaded: LoadedModel,
    prompt: str,
    *,
    max_new_tokens: int,
    sampling: Sampling = GREEDY,
    stop: str | Iterable[str] | None = None,
) -> PromptTokens:
    """Return a rendered prompt as tokens, with options; see `generate_stream`. Raises `InputError` for a prompt that
    doesn't fit or an option out of range.
    """
    ids = prompt_ids(loaded, prompt)
    if max_new_tokens < 1:
        raise InputError(f"an answer of at most {max_new_tokens} tokens: expected at least 1")
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    most = min(max_new_tokens, loaded.window - len(ids))
    return PromptTokens(tuple(ids), most, sampling, stops + stop_texts(loaded, prompt))


def _steps(loaded: LoadedModel, prompt: PromptTokens) -> Generator[list[str], None, list[Finish]]:
    with torch.no_grad():
        rows = CachedRows.empty(loaded, 1, rewind=False)
        logits = rows.prefill(pad_left([prompt.ids]))
    return (yield from decode(loaded, rows.feed, logits, [prompt]))


Feed = Callable[[list[int]], Float[Tensor, "rows vocab"]]
"""Takes each row's new token, and returns the logits after it."""


def answers(
    loaded: LoadedModel, feed: Feed, logits: Float[Tensor, "rows vocab"], prompts: Sequence[PromptTokens]
) -> list[Generated]:
    """Return the whole answer of each row, as a user would see it; see `decode`. Without a chat template, an answer
    also ends where the next turn begins.
    """
    stops = stop_texts(loaded)
    texts = [""] * len(prompts)
    steps = decode(loaded, feed, logits, [replace(one, stop=(*one.stop, *stops)) for one in prompts])
    while True:
        try:
            texts = [text + piece for text, piece in zip(texts, next(steps), strict=True)]
        except StopIteration as ended:
            return [Generated(text.strip(), finish) for text, finish in zip(texts, ended.value, strict=True)]


def decode(
    loaded: LoadedModel, feed: Feed, logits: Float[Tensor, "rows vocab"], prompts: Sequence[PromptTokens]
) -> Generator[list[str], None, list[Finish]]:
    """Yield the pieces of every row's answer, step by step; return why each ended. logits: those after the prompts.

    A row ends at one of the model's end tokens, before one of its stop texts, when it repeats itself, or at its limit;
    later tokens are ignored, and decoding stops when all rows have ended.
    """
    ends = end_tokens(loaded)
    rows = [AnswerRow(loaded, one, ends) for one in prompts]
    while any(row.finish is None for row in rows):
        picked = pick(logits, rows)
        yield [row.add(token) for row, token in zip(rows, picked, strict=True)]
        if any(row.finish is None for row in rows):
            with torch.no_grad():
                logits = feed(picked)
    return [row.finish for row in rows if row.finish is not None]
