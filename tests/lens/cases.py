"""What the tests of the lens compare with: the same weights under eager attention, and what plain hooks see there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from penchant.lens.lens import Lens
from tests.families import tiny, tiny_network

LAYERS = 4
ALL = frozenset(range(LAYERS))


def lens_of(family: str, dtype: torch.dtype = torch.float32) -> Lens:
    return Lens(tiny(family, dtype=dtype))


def eager_of(family: str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """The same weights as `lens_of(family)`, attending eagerly."""
    model = tiny_network(family, dtype=dtype)
    model.set_attn_implementation("eager")
    return model.eval()


def tokens(length: int, batch: int = 1, seed: int = 0) -> Tensor:
    """Random token ids above the special ones, int64 [batch, length]."""
    return torch.randint(8, 370, (batch, length), generator=torch.Generator().manual_seed(seed))


def eager_rows(model: PreTrainedModel, ids: Tensor, **options: Any) -> tuple[Tensor, ...]:
    with torch.no_grad():
        return model(input_ids=ids, output_attentions=True, use_cache=False, **options).attentions  # type: ignore[no-any-return]


@dataclass
class Seen:
    queries: list[Tensor] = field(default_factory=list)
    keys: list[Tensor] = field(default_factory=list)


@contextmanager
def eager_queries_and_keys(model: PreTrainedModel) -> Iterator[Seen]:
    """What the family's own eager attention function is given, layer by layer: an independent look at the same thing.

    The registry's "eager" entry is absent on purpose in transformers, so the module function is wrapped.
    """
    import sys

    seen = Seen()
    module = sys.modules[type(model).__module__]
    original = module.eager_attention_forward  # type: ignore[attr-defined]

    def look(layer: Any, query: Tensor, key: Tensor, *args: Any, **kwargs: Any) -> Any:
        seen.queries.append(query.detach().clone())
        seen.keys.append(key.detach().clone())
        return original(layer, query, key, *args, **kwargs)

    assert "eager" not in ALL_ATTENTION_FUNCTIONS
    module.eager_attention_forward = look  # type: ignore[attr-defined]
    try:
        yield seen
    finally:
        module.eager_attention_forward = original  # type: ignore[attr-defined]


@contextmanager
def counted(*modules: torch.nn.Module) -> Iterator[list[int]]:
    """How often each module's forward was called."""
    counts = [0] * len(modules)

    def count(i: int) -> Any:
        def hook(*_: Any) -> None:
            counts[i] += 1

        return hook

    handles = [module.register_forward_pre_hook(count(i)) for i, module in enumerate(modules)]
    try:
        yield counts
    finally:
        for handle in handles:
            handle.remove()
