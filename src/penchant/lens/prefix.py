"""A prefix cache for joint forward passes, history first: prefilled in blocks, extended, and read without being
changed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from penchant.errors import InputError
from penchant.inference.kv_cache import Checkpoint, growing_cache
from penchant.lens.lens import Lens, Reading, Wanted

BLOCK = 512


class PrefixCache:
    """Keys and values of a token sequence, at layers 0 to `last_layer`.

    Tokens are fed in blocks, so the largest mask is (block x context). Memory: 2 x kv heads x head_dim x element size
    bytes a token and layer. All layers are kept in full, including sliding ones, so that a read can be undone.
    """

    def __init__(self, lens: Lens, last_layer: int, block: int = BLOCK) -> None:
        self.lens, self.last_layer, self.block = lens, last_layer, block
        self._cache = growing_cache(lens.loaded.model)
        self.length = 0

    def append(self, ids: Sequence[int]) -> None:
        """Extend the prefix. Raises `InputError` if it would exceed the model's window."""
        self._check_room(len(ids))
        wanted = Wanted(keys=frozenset({self.last_layer}))
        for start in range(0, len(ids), self.block):
            block = torch.tensor([ids[start : start + self.block]])
            before = Checkpoint(self._cache)
            try:
                self.lens.read(block, wanted, cache=self._cache)
            except BaseException:
                before.restore()  # an interrupted block has reached some of the layers
                raise
            self.length += block.shape[1]

    def read(self, ids: Sequence[int], wanted: Wanted) -> Reading:
        """Read `ids` as the continuation of the prefix, which stays unchanged. Row positions count within `ids`.

        Raises `InputError` for no tokens, a layer beyond `last_layer`, or more tokens than the window has left.
        """
        if not ids:
            raise InputError("nothing to read: expected at least one token after the prefix")
        if wanted.last_layer > self.last_layer:
            raise InputError(
                f"layer {wanted.last_layer} was asked of a prefix cached up to layer {self.last_layer}; build it deeper"
            )
        self._check_room(len(ids))
        before = Checkpoint(self._cache)
        try:
            return self.lens.read(torch.tensor([list(ids)]), wanted, cache=self._cache)
        finally:
            before.restore()

    def _check_room(self, new: int) -> None:
        window = self.lens.loaded.window
        if self.length + new > window:
            raise InputError(
                f"{self.length} cached and {new} new tokens don't fit {self.lens.loaded.name}'s window of {window}; "
                "use the attention index, or shorter blocks"
            )
