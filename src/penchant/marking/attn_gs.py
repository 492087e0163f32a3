"""Attn-GS as published (arXiv 2602.07778): one joint pass, the final token, heads averaged at a middle layer."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from penchant.history.records import History, Request, Segment
from penchant.lens.lens import Lens, Wanted
from penchant.lens.prefix import PrefixCache
from penchant.marking.joint import asked, joint_passes, seeing_layers
from penchant.marking.marks import Marker, Marks
from penchant.marking.resources import Resources
from penchant.models.loading import LoadedModel

#: The paper reads layer 6 of 16 (1B) and 12 of 32 (8B).
DEPTH = 0.375
INSTRUCTION = "Here is what a person wrote and did in the past.\n"


def attn_gs(
    lens: Lens, *, layer: int | None = None, instruction: str = INSTRUCTION, block: int | None = None
) -> Marker:
    """The published marker: [instruction | history | request], attention of the last token to each history token at
    one layer, mean over heads, mean over a segment's tokens.

    layer: default the paper's, 0.375 of the depth, or the nearest one without a sliding window. A history that doesn't
    fit the window together with the request is read in several joint passes of at most `block` tokens (default: the
    window), each normalised separately; a segment is only cut if it alone doesn't fit. Marks are probabilities; the
    paper's threshold, alpha * max, is applied by the rewriting compressor.

    The marker raises `InputError` for a request that leaves no room for a history.
    """
    loaded = lens.loaded
    read_layer = _paper_layer(loaded) if layer is None else layer
    wanted = Wanted(row_layers=frozenset({read_layer}), rows=(-1,))

    def mark(history: History, request: Request, segments: Sequence[Segment]) -> Marks:
        began = time.perf_counter()
        joint = joint_passes(loaded, segments, instruction=instruction, ending=f"\n{asked(request)}", block=block)
        mass = np.zeros(len(segments))
        fed = 0
        for one in joint.passes:
            cache = PrefixCache(lens, read_layer)
            cache.append(joint.start)
            cache.append(one.tokens)
            row = cache.read(joint.end, wanted).rows[read_layer][0, :, 0].mean(0).cpu().numpy()[len(joint.start) :]
            at = 0
            for i, tokens in one.pieces:
                mass[i] += row[at : at + len(tokens)].sum(dtype=np.float64)
                at += len(tokens)
            fed += cache.length + len(joint.end)
        return Marks(
            tuple(segments),
            (mass / np.maximum(joint.counts, 1)).astype(np.float32),
            "attn-gs",
            heads=tuple((read_layer, head) for head in range(loaded.num_heads)),
            layers_run=read_layer + 1,
            history_tokens=joint.history_tokens,
            tokens_fed=fed,
            seconds={"mark": time.perf_counter() - began},
        )

    return mark


def _paper_layer(loaded: LoadedModel) -> int:
    # The paper's models have no sliding layers.
    return min(seeing_layers(loaded), key=lambda i: abs(i - round(DEPTH * loaded.num_layers)))


def make(resources: Resources) -> Marker:
    """Attn-GS as published: the last token's attention in one joint pass over history and request."""
    return attn_gs(resources.lens)
