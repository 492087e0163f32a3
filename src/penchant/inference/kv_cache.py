"""KV caches that can be extended and rewound, any number of times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import (
    DummyLayer,
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionAndFullAttentionLayer,
    LinearAttentionCacheLayerMixin,
    LinearAttentionLayer,
)

from penchant.errors import ModelError
from penchant.models.anatomy import takes

ROOM = 512
"""Free tokens that a layer allocates behind those that it holds."""


def growing_cache(model: PreTrainedModel, *, whole: bool = True, room: int = ROOM) -> Cache:
    """Make an empty cache for `model`. whole: layers with a sliding window keep all tokens (the mask hides those
    outside the window), so that a `Checkpoint` can go back; otherwise they keep only their window. room: free tokens
    that are allocated at a time; 0 for a cache that is read once and then branched.
    """
    growing = (DynamicLayer, DynamicSlidingWindowLayer) if whole else (DynamicLayer,)
    layers = DynamicCache(config=model.config).layers
    return Cache(layers=[_Growing(room) if type(layer) in growing else layer for layer in layers])


def recurrent_layers(cache: Cache) -> Iterator[LinearAttentionCacheLayerMixin]:
    """Return the layers with a recurrent state, in addition to keys and values or instead of them."""
    return (layer for layer in cache.layers if isinstance(layer, LinearAttentionCacheLayerMixin))


def mask_for(cache: Cache | None, seen: Bool[Tensor, "rows context"], new: int) -> Bool[Tensor, "rows _"]:
    """Return the part of a mask over cached and new tokens that a model takes: a state space model has nothing cached
    to which a mask could apply.
    """
    return seen[:, -new:] if cache is not None and _only_states(cache) else seen


def cached_tokens(cache: Cache | None) -> int:
    """Return how many tokens a cache holds keys of; 0 for a state space model."""
    return 0 if cache is None or _only_states(cache) else int(cache.get_seq_length())


def is_filled(cache: Cache | None) -> bool:
    """Whether anything has been read into a cache."""
    states = () if cache is None else recurrent_layers(cache)
    return cached_tokens(cache) > 0 or any(any(layer.has_previous_state.values()) for layer in states)


def cache_argument(module: nn.Module) -> str:
    """Return the name under which the forward pass of a model or decoder takes its cache."""
    return "cache_params" if takes(module, "cache_params") else "past_key_values"


def _only_states(cache: Cache) -> bool:
    return bool(cache.layers) and all(type(layer) is LinearAttentionLayer for layer in cache.layers)


class Checkpoint:
    """The state of a cache at construction. `restore` goes back to it in place, any number of times; keys and values
    aren't copied.

    Raises `ModelError` for a cache with layers that can't be rewound.
    """

    def __init__(self, cache: Cache) -> None:
        _check(cache)
        self._cache = cache
        self._lengths = [0 if layer.keys is None else layer.keys.shape[-2] for layer in _attention(cache)]
        self._states = [_State(layer) for layer in recurrent_layers(cache)]

    def restore(self) -> None:
        for layer, length in zip(_attention(self._cache), self._lengths, strict=True):
            if layer.keys is not None and layer.values is not None:
                layer.keys, layer.values = layer.keys[:, :, :length], layer.values[:, :, :length]
        for recurrent, state in zip(recurrent_layers(self._cache), self._states, strict=True):
            state.put(recurrent)


def branch(cache: Cache, rows: int | None = None) -> Cache:
    """Return a new cache that continues from `cache` without changing it, also with gradients. rows: how many copies of
    the single row of `cache`. Keys and values are shared until something is read.

    Raises `ModelError` for a cache with layers that can't be rewound.
    """
    _check(cache)
    layers: list[Any] = []
    for layer in cache.layers:
        made: Any = DynamicLayer() if isinstance(layer, _Growing) else type(layer)()  # type: ignore[no-untyped-call]
        if isinstance(layer, DynamicLayer) and layer.keys is not None and layer.values is not None:
            made.lazy_initialization(layer.keys, layer.values)
            made.keys, made.values = _spread(layer.keys, rows), _spread(layer.values, rows)
        if isinstance(layer, LinearAttentionCacheLayerMixin):
            _State(layer).put(made, rows)
        layers.append(made)
    return Cache(layers=layers)


def merge(parts: Sequence[tuple[Cache, Sequence[int], slice]], *, room: int = ROOM) -> Cache:
    """Copy rows of filled caches of one model into a new cache, aligned at their ends as `pad_left` aligns prompts;
    shorter ones are padded with zeros. parts: caches, each with positions of its rows and the tokens to copy (recurrent
    states can't be cut). room: see `growing_cache`.

    Raises `ModelError` for a cache with layers that can't be rewound.
    """
    for cache, *_ in parts:
        _check(cache)
    layers: list[Any] = []
    for position, like in enumerate(parts[0][0].layers):
        given: list[tuple[Any, list[int], slice]] = [
            (one.layers[position], list(rows), cut) for one, rows, cut in parts
        ]
        growing = type(like) in (_Growing, DynamicLayer)
        made: Any = _Growing(room) if growing else type(like)()
        if isinstance(like, DynamicLayer) and like.keys is not None:
            free = room if growing else 0
            keys = _aligned([one.keys[:, :, cut][rows] for one, rows, cut in given], free)
            values = _aligned([one.values[:, :, cut][rows] for one, rows, cut in given], free)
            made.lazy_initialization(keys, values)
            width = keys.shape[2] - free
            if growing:
                made._buffers = [keys, values]
            made.keys, made.values = keys[:, :, :width], values[:, :, :width]
        if isinstance(like, LinearAttentionCacheLayerMixin):
            _State.of([(one, rows) for one, rows, _ in given]).put(made)
        layers.append(made)
    return Cache(layers=layers)


def cache_bytes(cache: Cache) -> int:
    """Return the size of what a cache holds in bytes, without free room."""
    held = [tensor for layer in _attention(cache) for tensor in (layer.keys, layer.values)]
    for layer in recurrent_layers(cache):
        held += [*layer.conv_states.values(), *layer.recurrent_states.values()]
    return sum(tensor.numel() * tensor.element_size() for tensor in held if tensor is not None)


def _aligned(parts: Sequence[Tensor], room: int) -> Tensor:
    width = max(part.shape[2] for part in parts)
    first, rows = parts[0], sum(len(part) for part in parts)
    out = first.new_zeros(rows, first.shape[1], width + room, first.shape[3])
    at = 0
    for part in parts:
        out[at : at + len(part), :, width - part.shape[2] : width] = part
        at += len(part)
    return out


class _State:
    """Copies of a recurrent layer's states: the layer overwrites its own."""

    def __init__(self, layer: LinearAttentionCacheLayerMixin) -> None:
        self._facts = {name: dict(getattr(layer, name)) for name in _FACTS}
        self._tensors = {name: _copied(getattr(layer, name)) for name in _TENSORS}
        self._where = layer.dtype, layer.device

    @classmethod
    def of(cls, parts: Sequence[tuple[LinearAttentionCacheLayerMixin, list[int]]]) -> _State:
        """Return chosen rows of the states of several caches, in one."""
        made = cls(parts[0][0])
        for name in _TENSORS:
            states = [(getattr(layer, name), rows) for layer, rows in parts]
            made._tensors[name] = {
                key: None if state is None else torch.cat([one[key][rows] for one, rows in states])
                for key, state in states[0][0].items()
            }
        return made

    def put(self, layer: LinearAttentionCacheLayerMixin, rows: int | None = None) -> None:
        for name, facts in self._facts.items():
            setattr(layer, name, dict(facts))
        for name, tensors in self._tensors.items():
            setattr(layer, name, _copied(tensors, rows))
        layer.dtype, layer.device = self._where


_FACTS = ("is_conv_states_initialized", "is_recurrent_states_initialized", "has_previous_state", "conv_kernel_size")
_TENSORS = ("conv_states", "recurrent_states")


def _copied(states: dict[int, Tensor | None], rows: int | None = None) -> dict[int, Tensor | None]:
    return {key: None if state is None else _spread(state, rows).clone() for key, state in states.items()}


def _spread(tensor: Tensor, rows: int | None) -> Tensor:
    return tensor if rows is None else tensor.expand(rows, *tensor.shape[1:])


def _attention(cache: Cache) -> list[DynamicLayer]:
    return [layer for layer in cache.layers if isinstance(layer, DynamicLayer)]


def _check(cache: Cache) -> None:
    known = (DynamicLayer, _Growing, LinearAttentionLayer, LinearAttentionAndFullAttentionLayer, DummyLayer)
    if odd := [type(layer).__name__ for layer in cache.layers if type(layer) not in known]:
        raise ModelError(
            f"a cache with a {odd[0]} can't be rewound: expected full keys and values; use the model "
            "for plain generation only, or another one"
        )


class _Growing(DynamicLayer):  # type: ignore[no-untyped-call]
    """A cache layer that can be truncated and continued without copying: it writes into a preallocated buffer."""

    def __init__(self, room: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._room = room

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        length, new = self.get_seq_length(), key_states.shape[-2]
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._buffers = [key_states[:, :, :0], value_states[:, :, :0]]
        if self._buffers[0].shape[2] < length + new:
            self._buffers = [
                torch.cat([old[:, :, :length], fresh.new_empty(*fresh.shape[:2], new + self._room, fresh.shape[3])], 2)
                for old, fresh in zip(self._buffers, (key_states, value_states), strict=True)
            ]
        for buffer, fresh in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, length : length + new] = fresh
        self.keys, self.values = (buffer[:, :, : length + new] for buffer in self._buffers)
        return self.keys, self.values
