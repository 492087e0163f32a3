"""Models with recurrent layers (Mamba, short convolutions, gated linear attention): what they get right is measured.

Such a layer keeps one state of all that it has read. Families differ in how they carry it on: some lose it when several
tokens are read behind a cache (Jamba), some compute a single step otherwise than a whole text (Zamba 2), some take
padding for text (RecurrentGemma). Nothing of this raises an error in the model; it shows in what comes out.
"""

from __future__ import annotations

from contextvars import Context
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedModel

from penchant.errors import ModelError
from penchant.inference.kv_cache import growing_cache, recurrent_layers
from penchant.inference.positions import positions_of
from penchant.models.loading import LoadedModel

TOLERANCE = {torch.float32: 2e-3}
"""Of the largest hidden state. Rounding alone gives some 1e-5 in float32; in other formats `COARSE` is allowed."""
COARSE = 0.1
_TOKENS, _BEHIND = 24, 7


@dataclass(frozen=True)
class Recurrence:
    """What a model with recurrent layers computes as in one pass over a whole text. step: one token behind a cache.
    chunk: several of them. padding: rows with padding in front."""

    step: bool
    chunk: bool
    padding: bool


_measured: WeakKeyDictionary[PreTrainedModel, Recurrence | None] = WeakKeyDictionary()


def recurrence(loaded: LoadedModel) -> Recurrence | None:
    """None for a model without recurrent layers. Costs six short forward passes, once."""
    if loaded.model not in _measured:
        has = any(recurrent_layers(DynamicCache(config=loaded.model.config)))
        # In a context of its own: nothing that is written or read around this call touches it.
        _measured[loaded.model] = Context().run(_measure, loaded) if has else None
    return _measured[loaded.model]


def check_readable(
    loaded: LoadedModel, new: int, seen: Bool[Tensor, "rows context"] | None, cache: Cache | None
) -> None:
    """Raise `ModelError` where the model would silently compute something else than for each row's text alone."""
    able = recurrence(loaded)
    if able is None:
        return
    behind = cache is not None and any(any(layer.has_previous_state.values()) for layer in recurrent_layers(cache))
    if behind and not (able.step if new == 1 else able.chunk):
        raise ModelError(f"{loaded.name} reads {new} tokens behind others wrongly: expected the whole text in one pass")
    if seen is None or bool(seen.all()):
        return
    if not able.padding and not bool(seen[:, 0].all()):
        raise ModelError(f"{loaded.name} takes padding for text: expected rows of one length, or one at a time")
    starts = (seen[:, 1:] & ~seen[:, :-1]).sum(1) + seen[:, 0]
    if bool((starts > 1).any()):
        raise ModelError(f"{loaded.name} has recurrent layers: expected no padding between the tokens of a row")


@torch.no_grad()
def _measure(loaded: LoadedModel) -> Recurrence:
    vocabulary = int(loaded.model.config.get_text_config().vocab_size)
    ids = (torch.arange(2 * _TOKENS).reshape(2, -1) * 7919 + 13) % vocabulary
    whole = _states(loaded, ids, [_TOKENS])
    limit = TOLERANCE.get(loaded.dtype, COARSE) * float(whole.abs().max())

    def same(found: Tensor) -> bool:
        return float((found - whole).abs().max()) <= limit

    start = _TOKENS - _BEHIND
    padding = torch.cat([torch.zeros(2, _BEHIND, dtype=torch.long), ids], 1)
    return Recurrence(
        step=same(_states(loaded, ids, [start, *range(start + 1, _TOKENS + 1)])),
        chunk=same(_states(loaded, ids, [start, start + 2, _TOKENS])),
        padding=same(_states(loaded, padding, [_TOKENS + _BEHIND], _BEHIND)[:, _BEHIND:]),
    )


def _states(loaded: LoadedModel, ids: Tensor, ends: list[int], padding: int = 0) -> Tensor:
    """Hidden states of a text read in parts that end at `ends`."""
    seen = torch.arange(ids.shape[1])[None].expand(len(ids), -1) >= padding
    positions = positions_of(seen)
    cache = growing_cache(loaded.model, whole=False) if len(ends) > 1 else None
    parts, start = [], 0
    for end in ends:
        part = loaded.base(
            input_ids=ids[:, start:end].to(loaded.device),
            attention_mask=seen[:, :end].to(loaded.device),
            position_ids=positions[:, start:end].to(loaded.device),
            past_key_values=cache,
            use_cache=cache is not None,
        )
        parts.append(part[0].float().cpu())
        start = end
    return torch.cat(parts, 1)
