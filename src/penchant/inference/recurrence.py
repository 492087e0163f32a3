"""Measures whether a model computes the same in several passes as in one.

A model with recurrent layers (Mamba, short convolutions, gated linear attention) keeps one state for everything it has
read. Families differ in how they update it: some lose it when several tokens are read after a cache (Jamba), some
compute a single step differently from a whole text (Zamba 2), some treat padding as text, or keep the state in the
model instead of the cache, where the next conversation finds it (RecurrentGemma). None of this raises an error in the
model; only the output is wrong. Nothing of it is looked up by name: each model is tried.
"""

from __future__ import annotations

from contextvars import Context
from dataclasses import asdict, dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedModel

from penchant.errors import ModelError
from penchant.inference.kv_cache import cache_argument, growing_cache, is_filled, mask_for, recurrent_layers
from penchant.inference.positions import positions_of
from penchant.inference.recurrence_file import keep, kept
from penchant.models.anatomy import takes
from penchant.models.embedded import EMBEDDED
from penchant.models.loading import LoadedModel

TOLERANCE = {torch.float32: 2e-3}
"""Tolerance relative to the largest hidden state. Rounding alone gives about 1e-5 in float32; other formats are allowed
`COARSE`.
"""
COARSE = 0.1
_TOKENS, _BEHIND = 24, 7
_FEW = 6
"""Tokens for a model without recurrent layers."""


@dataclass(frozen=True)
class Recurrence:
    """What a model computes exactly as in one pass over the whole text. step: one token after a cache. chunk: several
    of them. padding: rows with padding at the front. cache: anything with a cache that it didn't make (MiniMax
    doesn't).
    """

    step: bool
    chunk: bool
    padding: bool
    cache: bool = True


_measured: WeakKeyDictionary[PreTrainedModel, Recurrence | None] = WeakKeyDictionary()


def recurrence(loaded: LoadedModel) -> Recurrence | None:
    """Measure a model; None if it reads a text in any parts. Costs a few short forward passes, once per model: the
    answer is kept on disk under the model's identity (`recurrence_file`).
    """
    if loaded.model not in _measured:
        _measured[loaded.model] = None if loaded.name in EMBEDDED else _known(loaded)
    return _measured[loaded.model]


def _known(loaded: LoadedModel) -> Recurrence | None:
    try:
        known = kept(loaded)
        if known is not None:
            return Recurrence(**known) if known else None
    except TypeError:  # another release's fields
        pass
    # In a separate context: interventions and reads around this call don't affect it.
    measured = Context().run(_measure, loaded)
    keep(loaded, asdict(measured) if measured else {})
    return measured


def has_states(loaded: LoadedModel) -> bool:
    """Whether the model has recurrent layers."""
    if loaded.model not in _states_of:
        _states_of[loaded.model] = any(recurrent_layers(DynamicCache(config=loaded.model.config)))
    return _states_of[loaded.model]


_states_of: WeakKeyDictionary[PreTrainedModel, bool] = WeakKeyDictionary()


def check_readable(
    loaded: LoadedModel, new: int, seen: Bool[Tensor, "rows context"] | None, cache: Cache | None
) -> None:
    """Raise `ModelError` if the model would silently compute something else than for each row's text alone."""
    if not has_states(loaded) and not is_filled(cache):
        return
    able = recurrence(loaded)
    if able is None:
        return
    if cache is not None and not able.cache:
        raise ModelError(f"{loaded.name} takes no cache but its own: expected the whole text in one pass")
    if is_filled(cache) and not (able.step if new == 1 else able.chunk):
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
def _measure(loaded: LoadedModel) -> Recurrence | None:
    states = has_states(loaded)
    rows, tokens, after = (2, _TOKENS, _BEHIND) if states else (1, _FEW, 2)
    vocabulary = int(loaded.model.config.get_text_config().vocab_size)
    ids = (torch.arange(rows * tokens).reshape(rows, -1) * 7919 + 13) % vocabulary
    whole = _states(loaded, ids, [tokens])
    limit = TOLERANCE.get(loaded.dtype, COARSE) * float(whole.abs().max())

    def same(ids: Tensor, ends: list[int], padding: int = 0) -> bool:
        try:
            found = _states(loaded, ids, ends, padding)[:, padding:]
        except (RuntimeError, ValueError, TypeError, LookupError, AttributeError):  # code of all families
            return False
        return float((found - whole).abs().max()) <= limit

    start = tokens - after
    chunk = same(ids, [start, tokens])
    if chunk and not states:
        return None
    padded = torch.cat([torch.zeros(rows, after, dtype=torch.long), ids], 1)
    return Recurrence(
        step=same(ids, [start, *range(start + 1, tokens + 1)]),
        chunk=chunk and same(ids, [start, start + 2, tokens]),
        padding=same(padded, [tokens + after], after),
        cache=same(ids, [0, tokens]),
    )


def _states(loaded: LoadedModel, ids: Tensor, ends: list[int], padding: int = 0) -> Tensor:
    """Return the hidden states of a text that is read in parts ending at `ends`, with another text in between; a single
    part is read without a cache.
    """
    seen = torch.arange(ids.shape[1])[None].expand(len(ids), -1) >= padding
    positions = positions_of(seen)
    cache = growing_cache(loaded.model, whole=False) if len(ends) > 1 else None
    parts, start = [], 0
    for end in ends:
        if (
            start and end > start
        ):  # a model may keep a state of its own: another conversation must not get into this one
            _part(loaded, ids[:, :start].flip(1), seen[:, :start].flip(1), positions[:, :start], None)
        if end > start:
            parts.append(_part(loaded, ids[:, start:end], seen[:, :end], positions[:, start:end], cache))
        start = end
    return torch.cat(parts, 1)


def _part(loaded: LoadedModel, ids: Tensor, seen: Tensor, positions: Tensor, cache: Cache | None) -> Tensor:
    given: dict[str, Any] = {
        "input_ids": ids,
        "attention_mask": mask_for(cache, seen, ids.shape[1]),
        "position_ids": positions,
    }
    given = {name: tensor.to(loaded.device) for name, tensor in given.items() if takes(loaded.base, name)}
    given |= {cache_argument(loaded.base): cache, "use_cache": cache is not None}
    found: Tensor = loaded.base(**given)[0]
    return found.float().cpu()
