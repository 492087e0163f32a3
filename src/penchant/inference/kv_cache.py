"""A key-value cache that can be read past and cut back, any number of times, without copying."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer

_ROOM = 512


def growing_cache() -> Cache:
    """An empty cache whose layers can be cut back; every layer keeps all of its tokens, sliding ones too."""
    return Cache(layer_class_to_replicate=_Growing)


def cut(cache: Cache, length: int) -> None:
    """Drop what is cached behind the first `length` tokens, in place."""
    for layer in cache.layers:
        if isinstance(layer, DynamicLayer) and layer.keys is not None and layer.values is not None:
            layer.keys, layer.values = layer.keys[:, :, :length], layer.values[:, :, :length]


class _Growing(DynamicLayer):  # type: ignore[no-untyped-call]
    """A cache layer that can be cut back and continued without copying: it writes into a buffer with room to spare.
    Sliding layers are kept in full as well (the mask hides what is out of their window), so that they can be cut."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        length, new = self.get_seq_length(), key_states.shape[-2]
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._buffers = [key_states[:, :, :0], value_states[:, :, :0]]
        if self._buffers[0].shape[2] < length + new:
            self._buffers = [
                torch.cat([old[:, :, :length], fresh.new_empty(*fresh.shape[:2], new + _ROOM, fresh.shape[3])], 2)
                for old, fresh in zip(self._buffers, (key_states, value_states), strict=True)
            ]
        for buffer, fresh in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, length : length + new] = fresh
        self.keys, self.values = (buffer[:, :, : length + new] for buffer in self._buffers)
        return self.keys, self.values
