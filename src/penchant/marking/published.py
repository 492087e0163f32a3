"""Attn-GS as published (arXiv 2602.07778): one joint pass, the final token, heads averaged at a middle layer."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from penchant.errors import InputError
from penchant.history.records import History, Request, Segment
from penchant.lens.lens import Lens, Wanted
from penchant.lens.prefix import PrefixCache
from penchant.marking.marks import Marker, Marks
from penchant.models.loading import LoadedModel

#: The paper reads layer 6 of 16 (1B) and 12 of 32 (8B).
DEPTH = 0.375
INSTRUCTION = "Here is what a person wrote and did in the past.\n"


def attn_gs(
    lens: Lens, *, layer: int | None = None, instruction: str = INSTRUCTION, block: int | None = None
) -> Marker:
    """The published marker: [instruction | history | request], attention of the last token to each history token at
    one layer, mean over heads, mean over a segment's tokens.

    layer: default the paper's, 0.375 of the depth, or the nearest one that isn't a sliding window. A history that
    doesn't fit the window beside the request is read in several joint passes of at most `block` tokens (default: the
    window), each normalised on its own; a segment is only cut where it alone doesn't fit. Marks are kept in
    probability; the paper marks what exceeds alpha * max, which the rewriting compressor does.

    The marker raises `InputError` for a request that leaves no room for a history.
    """
    loaded = lens.loaded
    read_layer = _paper_layer(loaded) if layer is None else layer
    wanted = Wanted(row_layers=frozenset({read_layer}), rows=(-1,))

    def mark(history: History, request: Request, segments: Sequence[Segment]) -> Marks:
        began = time.perf_counter()
        start = list(loaded.tokenizer(instruction)["input_ids"])
        asked = request.query if request.task is None else f"{request.task}\n{request.query}"
        end = list(loaded.tokenizer(f"\n{_clean(asked)}", add_special_tokens=False, verbose=False)["input_ids"])
        room = (loaded.window if block is None else min(block, loaded.window)) - len(start) - len(end)
        if room < 1:
            raise InputError(
                f"the request has {len(end)} tokens, which leaves no room for the history in a window of "
                f"{loaded.window}; shorten it or use the attention marker"
            )
        texts = [f"{_clean(segment.text)}\n" for segment in segments]
        ids = loaded.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"] if texts else []
        pieces = [
            (i, tokens[at : at + room]) for i, tokens in enumerate(ids) for at in range(0, max(len(tokens), 1), room)
        ]
        mass = np.zeros(len(ids))
        fed = 0
        for group in _groups([len(tokens) for _, tokens in pieces], room):
            cache = PrefixCache(lens, read_layer)
            cache.append(start)
            cache.append([token for piece in group for token in pieces[piece][1]])
            row = cache.read(end, wanted).rows[read_layer][0, :, 0].mean(0).cpu().numpy()[len(start) :]
            at = 0
            for i, tokens in (pieces[piece] for piece in group):
                mass[i] += row[at : at + len(tokens)].sum(dtype=np.float64)
                at += len(tokens)
            fed += cache.length + len(end)
        counts = np.array([len(tokens) for tokens in ids])
        return Marks(
            tuple(segments),
            (mass / np.maximum(counts, 1)).astype(np.float32),
            "attn-gs",
            heads=tuple((read_layer, head) for head in range(loaded.num_heads)),
            layers_run=read_layer + 1,
            history_tokens=sum(len(tokens) for tokens in ids),
            tokens_fed=fed,
            seconds={"mark": time.perf_counter() - began},
        )

    return mark


def _paper_layer(loaded: LoadedModel) -> int:
    kinds = getattr(loaded.model.config.get_text_config(), "layer_types", None) or []
    # The paper's models have no sliding layers; the last token sees next to nothing of the history there.
    full = [i for i, kind in enumerate(kinds) if kind == "full_attention"] or range(loaded.num_layers)
    return min(full, key=lambda i: abs(i - round(DEPTH * loaded.num_layers)))


def _groups(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Pieces in order, cut into passes of at most `room` tokens."""
    groups: list[list[int]] = []
    used = 0
    for i, length in enumerate(lengths):
        if not groups or used + length > room:
            groups.append([])
            used = 0
        groups[-1].append(i)
        used += length
    return groups


def _clean(text: str) -> str:
    """A lone surrogate is no text for the tokenizer."""
    return text.encode("utf-8", "replace").decode()
