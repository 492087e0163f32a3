"""Measures what models with recurrent layers (Mamba, short convolutions, gated linear attention) compute correctly.

Such a layer keeps one state for everything it has read. Families differ in how they update it: some lose it when
several tokens are read after a cache (Jamba), some compute a single step differently from a whole text (Zamba 2), some
treat padding as text (RecurrentGemma). None of this raises an error in the model; only the output is wrong.
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
"""Tolerance relative to the largest hidden state. Rounding alone gives about 1e-5 in float32; other formats are allowed
`COARSE`.
"""
COARSE = 0.1
_TOKENS, _BEHIND = 24, 7


@dataclass(frozen=True)
class Recurrence:
    """What a model with recurrent layers computes exactly as in one pass over the whole text. step: one token after a
    cache. chunk: several of them. padding: rows with padding at the front.
    """

    step: bool
    chunk: bool
    padding: bool


_measured: WeakKeyDictionary[PreTrainedModel, Recurrence | None] = WeakKeyDictionary()


def recurrence(loaded: LoadedModel) -> Recurrence | None:
    """Measure a model; None if it has no recurrent layers. Costs six short forward passes, once per model."""
    if loaded.model not in _measured:
        has = any(recurrent_layers(DynamicCache(config=loaded.model.config)))
        # In a separate context: interventions and reads around this call don't affect it.
        _measured[loaded.model] = Context().run(_measure, loaded) if has else None
    return _measured[loaded.model]


def check_readable(
    loaded: LoadedModel, new: int, seen: Bool[Tensor, "rows context"] | None, cache: Cache | None
) -> None:
    """Raise `ModelError` if the model would silently compute something else than for each row's text alone."""
    able = recurrence(loaded)
    if able is None:
        return
    behind = cache is not None and any(any(layer.has_previous_state.values()) for layer in recurrent_layers(cache))
    if behind and not (able.step if new == 1 else able.chunk):
        raise ModelError(
            f"{loaded.name} computes {new} tokens after a cache wrongly: expected the whole text in one pass"
        )
    if seen is None or bool(seen.all()):
        return
    if not able.padding and not bool(seen[:, 0].all()):
        raise ModelError(f"{loaded.name} treats padding as text: expected rows of one length, or one at a time")
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
    """Return the hidden states of a text that is read in parts ending at `ends`."""
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
