"""Positions of tokens in their rows, without padding: from a mask, or from the arguments of a decoder's forward pass,
without synchronising with the device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from penchant.errors import InputError


def positions_of(there: Bool[Tensor, "rows tokens"]) -> Int[Tensor, "rows tokens"]:
    """Return the position of each token in its row, not counting padding; padding at the front has position 0."""
    return _counted(there).clamp(min=0)


_whole: ContextVar[Tensor | None] = ContextVar("penchant_whole_mask", default=None)


@contextmanager
def whole_mask(seen: Tensor | None) -> Iterator[None]:
    """Tell `TokenPositions` the mask over cached and new tokens of the pass in this context: a state space model is
    passed only the part for the new ones, and its cache counts nothing.
    """
    token = _whole.set(seen)
    try:
        yield
    finally:
        _whole.reset(token)


@dataclass(frozen=True, eq=False)
class TokenPositions:
    """The tokens of one call of a decoder. past: tokens in its cache (a tensor for static caches). attention: the mask
    as passed: bool or int [batch, cached + new], a prepared one in four dimensions, or a dictionary of those.
    """

    batch: int
    new: int
    past: int | Tensor
    device: torch.device
    attention: Any
    positions: Tensor | None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> TokenPositions:
        """Make it from the arguments of the decoder's forward, by name."""
        tokens, cache = given.get("input_ids"), given.get("past_key_values")
        if tokens is None:
            tokens = given["inputs_embeds"]
        past = 0 if cache is None else cache.get_seq_length()
        attention = given.get("attention_mask")
        # A compiled graph has no context variables; models with `cache_params` are not compiled.
        whole = None if torch.compiler.is_compiling() else _whole.get()
        if given.get("cache_params") is not None and whole is not None:
            attention, past = whole.to(tokens.device), whole.shape[1] - tokens.shape[1]
        positions = given.get("position_ids")
        if positions is not None and positions.dim() != 2:  # position ids in three dimensions are for images
            positions = None
        batch, new = tokens.shape[:2]
        return cls(batch, new, past, tokens.device, attention, positions)

    @property
    def flat(self) -> Tensor | None:
        """The mask, if it is one over tokens."""
        return self.attention if isinstance(self.attention, Tensor) and self.attention.dim() == 2 else None

    @property
    def end(self) -> int | None:
        """A position after all tokens of this pass; None if only the device knows it. Not for compiled code, which
        would be recompiled for each length.
        """
        counted = self.flat is not None or (self.attention is None and self.positions is None)
        # Because of padding, a token's position can only be lower than its column in the cache.
        return self.past + self.new if counted and isinstance(self.past, int) else None

    def reached(self, begin: Tensor) -> Tensor:
        """Return bool [batch or 1, new]: True for tokens, not padding, at positions from `begin` [batch or 1, 1] on."""
        if self.flat is not None:
            return self._by_mask(self.flat, begin)
        positions = self.positions
        if positions is None:
            positions = (torch.arange(self.new, device=self.device) + self.past)[None]
        mask = positions >= begin
        there = _attending(self.attention)
        return mask if there is None else mask & there

    def columns(self) -> Tensor:
        """Return [batch or 1, cached + new]: the position of every token so far; padding has that of the token before
        it.

        Raises `InputError` for a mask that is too short."""
        total = int(self.past) + self.new
        if self.flat is None:
            return torch.arange(total, device=self.device)[None]
        if self.flat.shape[1] < total:
            raise InputError(f"a mask of {self.flat.shape[1]} columns: expected {total}, cached and new")
        return _counted(self.flat[:, :total].bool())

    def _by_mask(self, mask: Tensor, begin: Tensor) -> Tensor:
        there = mask.bool()
        at = _counted(there)
        if isinstance(self.past, Tensor):
            columns = torch.arange(self.new, device=self.device) + self.past
            there, at = there.index_select(1, columns), at.index_select(1, columns)
        elif mask.shape[1] < self.past + self.new:
            raise InputError(
                f"an attention mask of {mask.shape[1]} tokens for {self.past} cached and {self.new} new: expected one "
                "that covers them all"
            )
        else:
            # Aligned as in transformers: a mask may extend beyond the new tokens.
            new = slice(self.past, self.past + self.new)
            there, at = there[:, new], at[:, new]
        return (at >= begin) & there


def _attending(attention: Any) -> Tensor | None:
    """Return bool [batch, new]: the tokens that attend to anything, by a prepared mask [batch, heads, new, keys]. Left
    padding doesn't. (`generate` prepares such masks for static caches, with padding on the left.)
    """
    if isinstance(attention, dict):
        attention = next((mask for mask in attention.values() if isinstance(mask, Tensor)), None)
    if not isinstance(attention, Tensor) or attention.dim() != 4:
        return None
    seen = attention if attention.dtype == torch.bool else attention > torch.finfo(attention.dtype).min / 2
    return seen[:, 0].any(-1)


def _counted(there: Tensor) -> Tensor:
    return there.long().cumsum(1) - 1
