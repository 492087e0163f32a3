"""The lens: reads queries, keys and attention rows of a causal LM alongside SDPA, with early exit. It never writes.

A read allocates no tensor of size (tokens x tokens): only the requested rows are computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import Cache

from penchant.errors import ModelError
from penchant.inference.attention_hooks import install, observing
from penchant.inference.forward import hidden_states
from penchant.lens.rows import attention_rows
from penchant.lens.self_check import INSTEAD, LayerHeads, checked_layers
from penchant.models.loading import LoadedModel


@dataclass(frozen=True)
class Wanted:
    """What a read should return: layers whose queries, keys or attention rows are wanted.

    rows: positions within the tokens of this read whose attention distribution is wanted at `row_layers`
    (None: all of them; negative positions count from the end).
    """

    queries: frozenset[int] = frozenset()
    keys: frozenset[int] = frozenset()
    row_layers: frozenset[int] = frozenset()
    rows: tuple[int, ...] | None = None

    @property
    def last_layer(self) -> int:
        return max(self.queries | self.keys | self.row_layers)


@dataclass
class Reading:
    """The result of a read: a mapping from layer to tensor for each kind, in the model's dtype.

    queries [batch, heads, new tokens, head_dim] and keys [batch, kv heads, new tokens, head_dim] are rotated and
    normalised as the model uses them; rows [batch, heads, rows, cached + new tokens] are float32 probabilities.
    """

    queries: dict[int, Float[Tensor, "batch heads tokens dim"]] = field(default_factory=dict)
    keys: dict[int, Float[Tensor, "batch kv_heads tokens dim"]] = field(default_factory=dict)
    rows: dict[int, Float[Tensor, "batch heads rows context"]] = field(default_factory=dict)


class _ReachedError(Exception):
    """Ends a forward pass at the last layer that is needed."""


class _Reader:
    def __init__(self, wanted: Wanted, layers: Mapping[int, LayerHeads], new_tokens: int, cached: bool) -> None:
        self.wanted, self.layers, self.new_tokens, self.cached = wanted, layers, new_tokens, cached
        self.reading = Reading()

    def see(self, layer: int, query: Tensor, key: Tensor, mask: Tensor | None, scaling: float) -> None:
        wanted = self.wanted
        if layer in wanted.queries:
            self.reading.queries[layer] = query
        if layer in wanted.keys:
            new = key[:, :, -self.new_tokens :]
            self.reading.keys[layer] = new.clone() if self.cached else new  # the cache will overwrite its buffer
        if layer in wanted.row_layers:
            heads = self.layers[layer]
            self.reading.rows[layer] = attention_rows(
                query, key, mask, scaling, wanted.rows, cap=heads.cap, sinks=heads.sinks
            )
        if layer == wanted.last_layer:
            raise _ReachedError


class Lens:
    """Reads one loaded model. Thread-safe: only the weights are shared."""

    def __init__(self, loaded: LoadedModel) -> None:
        """Check the model. Raises `ModelError` for a model that can't be read, or doesn't compute what the lens
        assumes.
        """
        try:
            install(loaded.model)
        except ModelError as error:
            raise ModelError(f"{error}; {INSTEAD}") from error
        self.loaded = loaded
        self.layers: Mapping[int, LayerHeads] = checked_layers(loaded)
        """The heads of every layer that attends; in a hybrid, other layers have none."""
        self.scaling = {layer: heads.scaling for layer, heads in self.layers.items()}
        """The factor that multiplies query . key, by layer."""

    @torch.no_grad()
    def read(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        wanted: Wanted,
        *,
        seen: Bool[Tensor, "batch context"] | None = None,
        positions: Int[Tensor, "batch tokens"] | None = None,
        cache: Cache | None = None,
    ) -> Reading:
        """Run the decoder up to the last wanted layer (never the LM head) and return what was read.

        input_ids: new tokens; `seen` covers cached and new tokens (False: padding); positions: where the new ones stand
        (None: counted by `seen`). `cache` is extended in place by the new tokens at the layers that ran; use a
        `Checkpoint` to restore it.

        Raises `ModelError` if a wanted layer doesn't exist, or the model's attention doesn't go through the registry.
        """
        absent = sorted((wanted.queries | wanted.keys | wanted.row_layers) - self.layers.keys())
        if absent:
            raise ModelError(
                f"layer {absent[-1]} was asked of {self.loaded.name}, which attends at {_spans(self.layers)} (of "
                f"{self.loaded.num_layers} layers, counted from 0); use a calibration made for this model"
            )
        reader = _Reader(wanted, self.layers, input_ids.shape[1], cache is not None)
        with observing(reader):
            try:
                hidden_states(self.loaded, input_ids, seen=seen, positions=positions, cache=cache)
            except _ReachedError:
                return reader.reading
        raise ModelError(
            f"{self.loaded.name}: the forward pass never reached layer {wanted.last_layer} in the attention registry"
        )


def _spans(layers: Iterable[int]) -> str:
    """Write layers as "layers 0 to 29", or one by one if they aren't all."""
    numbers = sorted(layers)
    if numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"layers {numbers[0]} to {numbers[-1]}"
    return f"layers {', '.join(map(str, numbers))}"
