"""One forward pass of a decoder. Every token's position is passed, since some families would count from 0 after a
cache.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import Cache

from penchant.inference.kv_cache import cache_argument, cached_tokens, mask_for
from penchant.inference.positions import positions_of, whole_mask
from penchant.inference.recurrence import check_readable
from penchant.models.anatomy import takes
from penchant.models.loading import LoadedModel

PREFILL = 1024
"""Most tokens of a batch in one pass; limits the memory of a long prompt's mask and activations."""


def hidden_states(
    loaded: LoadedModel,
    ids: Int[Tensor, "rows new"],
    *,
    seen: Bool[Tensor, "rows context"] | None = None,
    positions: Int[Tensor, "rows new"] | None = None,
    cache: Cache | None = None,
) -> Float[Tensor, "rows new width"]:
    """Run the decoder without the LM head. Returns the last hidden states, in the model's dtype.

    seen: for cached and new tokens, False at padding (None: no padding). positions: of the new tokens in their rows
    (None: counted by `seen`). cache: read and extended in place. Raises `ModelError` if a recurrent model would compute
    a wrong result (`check_readable`).
    """
    check_readable(loaded, ids.shape[1], seen, cache)
    given = _given(loaded.base, ids, loaded.device, seen=seen, cache=cache, positions=positions)
    with whole_mask(seen):
        out: Tensor = loaded.base(**given)[0]
    return out


def logits(
    loaded: LoadedModel,
    ids: Int[Tensor, "rows new"],
    *,
    seen: Bool[Tensor, "rows context"] | None = None,
    cache: Cache | None = None,
    last: int | None = None,
) -> Float[Tensor, "rows _ vocab"]:
    """Return logits after each new token, or after the `last` ones, in the model's dtype; otherwise as
    `hidden_states`.
    """
    check_readable(loaded, ids.shape[1], seen, cache)
    given = _given(loaded.model, ids, loaded.device, seen=seen, cache=cache)
    if last is not None and takes(loaded.model, "logits_to_keep"):
        given["logits_to_keep"] = last
    with whole_mask(seen):
        out: Tensor = loaded.model(**given).logits
    return out if last is None else out[:, -last:]


def _given(
    module: nn.Module,
    ids: Tensor,
    device: torch.device,
    *,
    seen: Tensor | None,
    cache: Cache | None,
    positions: Tensor | None = None,
) -> dict[str, Any]:
    new = ids.shape[1]
    if seen is None:
        past = cached_tokens(cache)
        if positions is None:
            positions = torch.arange(past, past + new)[None]
        else:  # without a mask, transformers takes jumps in the positions for several texts packed into one row
            seen = torch.ones(len(ids), past + new, dtype=torch.bool)
    elif positions is None:
        positions = positions_of(seen)
    given: dict[str, Any] = {
        "input_ids": ids.to(device),
        "attention_mask": None if seen is None else mask_for(cache, seen, new).to(device),
        cache_argument(module): cache,
        "use_cache": cache is not None,
    }
    if takes(module, "position_ids"):  # the other families have no positions, or count distances by the mask
        given["position_ids"] = positions[:, -new:].to(device)
    return given
