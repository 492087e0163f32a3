"""The joint passes of published markers: instruction, history and request, in as many passes as the model's window
requires.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from penchant.errors import InputError
from penchant.history.records import Request, Segment
from penchant.models.anatomy import attending_layers
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import opening_ids, text_ids


@dataclass(frozen=True)
class JointPass:
    """One pass. pieces: (position of the segment, its tokens), in order; a segment is split only if it alone doesn't
    fit.
    """

    pieces: tuple[tuple[int, tuple[int, ...]], ...]

    @property
    def tokens(self) -> list[int]:
        return [token for _, piece in self.pieces for token in piece]


@dataclass(frozen=True)
class Joint:
    """All passes. start, end: tokens before and after the history, the same in every pass. counts: int64 [segments],
    tokens.
    """

    start: tuple[int, ...]
    end: tuple[int, ...]
    passes: tuple[JointPass, ...]
    counts: npt.NDArray[np.int64]

    @property
    def history_tokens(self) -> int:
        return int(self.counts.sum())


def joint_passes(
    loaded: LoadedModel,
    segments: Sequence[Segment],
    *,
    instruction: str,
    ending: str,
    block: int | None = None,
    step: int = 1,
) -> Joint:
    """Cut a history, one segment per line, into passes of at most `block` tokens (default: the model's window).

    ending: the text after the history. step: the space for the ending is rounded up to a multiple of this many tokens,
    so that endings of similar length give the same passes.

    Raises `InputError` for an ending that leaves no room for a history.
    """
    start = opening_ids(loaded, instruction)
    end = text_ids(loaded, clean(ending))
    room = (loaded.window if block is None else min(block, loaded.window)) - len(start) - -(-len(end) // step) * step
    if room < 1:
        raise InputError(
            f"the request has {len(end)} tokens, which leaves no room for the history in a window of "
            f"{loaded.window}; shorten it or use the attention marker"
        )
    texts = [f"{clean(segment.text)}\n" for segment in segments]
    ids = loaded.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"] if texts else []
    pieces = [
        (i, tuple(tokens[at : at + room])) for i, tokens in enumerate(ids) for at in range(0, max(len(tokens), 1), room)
    ]
    groups = _groups([len(tokens) for _, tokens in pieces], room)
    return Joint(
        tuple(start),
        tuple(end),
        tuple(JointPass(tuple(pieces[i] for i in group)) for group in groups),
        np.array([len(tokens) for tokens in ids], dtype=np.int64),
    )


def asked(request: Request) -> str:
    """Return the query, after a line with the task if there is one."""
    return request.query if request.task is None else f"{request.task}\n{request.query}"


def seeing_layers(loaded: LoadedModel) -> list[int]:
    """Return the layers that attend without a sliding window, ascending; all that attend if every one has a window.

    Through a sliding window the last token sees almost nothing of a history.
    """
    attending = attending_layers(loaded.model)
    kinds = getattr(loaded.model.config.get_text_config(), "layer_types", None) or []
    return [i for i in attending if i < len(kinds) and kinds[i] == "full_attention"] or attending


def clean(text: str) -> str:
    """Replace lone surrogates, which tokenizers refuse."""
    return text.encode("utf-8", "replace").decode()


def _groups(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Group pieces, in order, into passes of at most `room` tokens."""
    groups: list[list[int]] = []
    used = 0
    for i, length in enumerate(lengths):
        if not groups or used + length > room:
            groups.append([])
            used = 0
        groups[-1].append(i)
        used += length
    return groups
