"""Finds texts in a prompt, as spans of characters and tokens."""

from __future__ import annotations

from collections.abc import Sequence

from penchant.models.loading import LoadedModel
from penchant.models.tokenization import prompt_offsets


def find_pieces(prompt: str, pieces: Sequence[str]) -> list[tuple[int, int] | None]:
    """Return the characters [start, end) of each piece: its first occurrence after the piece before it, else its first
    one; None if it is empty or not in the prompt.
    """
    found: list[tuple[int, int] | None] = []
    at = 0
    for piece in pieces:
        index = prompt.find(piece, at)
        index = prompt.find(piece) if index < 0 else index
        if index < 0 or not piece:
            found.append(None)
            continue
        at = index + len(piece)
        found.append((index, at))
    return found


def token_spans(loaded: LoadedModel, prompt: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int] | None]:
    """Return the tokens of `prompt_ids` that contain any of the characters [start, end); None for no token.

    Raises `InputError` for a tokenizer without offsets (a slow one).
    """
    edges = prompt_offsets(loaded, prompt)
    out: list[tuple[int, int] | None] = []
    for start, end in spans:
        held = [i for i, (left, right) in enumerate(edges) if left < end and right > start and right > left]
        out.append((held[0], held[-1] + 1) if held and start < end else None)
    return out
