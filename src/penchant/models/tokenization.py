"""Tokenization: prompts, answers that follow them, and the character offsets of tokens."""

from __future__ import annotations

from collections.abc import Sequence

from penchant.errors import InputError
from penchant.models.loading import LoadedModel


def text_ids(loaded: LoadedModel, text: str) -> list[int]:
    """Return the tokens of a text alone, without special tokens before or after it."""
    ids: list[int] = loaded.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return ids


def opening_ids(loaded: LoadedModel, text: str) -> list[int]:
    """Return the tokens of a text that opens a sequence: a rendered prompt or the beginning of one.

    The tokenizer's begin-of-text token comes first, unless the text contains it. Nothing is appended, whatever the
    tokenizer adds to a finished text: an end-of-text token would end the prompt.
    """
    ids = text_ids(loaded, text)
    return [*_leading(loaded, ids), *ids]


def prompt_ids(loaded: LoadedModel, prompt: str) -> list[int]:
    """Return the tokens of a prompt, as `opening_ids` does.

    Raises `InputError`, naming both numbers, if they leave no room for an answer in the model's window.
    """
    ids = opening_ids(loaded, prompt)
    if not ids:
        raise InputError("the prompt is empty: expected some text")
    if len(ids) >= loaded.window:
        raise InputError(
            f"the prompt has {len(ids)} tokens but the window of {loaded.name} is {loaded.window}: "
            "shorten it or lower the budget of the profile"
        )
    return ids


def prompt_offsets(loaded: LoadedModel, prompt: str) -> list[tuple[int, int]]:
    """Return the characters [start, end) of each token of `prompt_ids`; (0, 0) for tokens without text.

    Raises `InputError` for a tokenizer without offsets (a slow one).
    """
    if not loaded.tokenizer.is_fast:
        raise InputError(f"the tokenizer of {loaded.name} gives no character offsets: expected a fast tokenizer")
    coded = loaded.tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    return [(0, 0)] * len(_leading(loaded, coded["input_ids"])) + [tuple(one) for one in coded["offset_mapping"]]


def continuation_ids(loaded: LoadedModel, text: str) -> tuple[int, ...]:
    """Return the tokens of an answer that follows a prompt. A model without a chat template answers after "Assistant:",
    so a space comes first. Raises `InputError` for an empty answer.
    """
    ids = tuple(text_ids(loaded, text if loaded.tokenizer.chat_template else f" {text}"))
    if not text.strip() or not ids:
        raise InputError("an answer is empty: expected some text; drop the item")
    return ids


def appends(loaded: LoadedModel) -> bool:
    """Whether the tokenizer appends tokens to a finished text."""
    return _around(loaded)[1]


def _leading(loaded: LoadedModel, ids: Sequence[int]) -> list[int]:
    leading, _ = _around(loaded)
    return [] if leading and list(ids[:1]) == leading[:1] else leading


def _around(loaded: LoadedModel) -> tuple[list[int], bool]:
    """Return the tokens that the tokenizer prepends to a text, and whether it appends any."""
    alone = text_ids(loaded, "x")
    finished: list[int] = loaded.tokenizer("x", verbose=False)["input_ids"]
    if not alone or alone[0] not in finished:
        return [], False
    start = finished.index(alone[0])
    return finished[:start], len(finished) > start + len(alone)
