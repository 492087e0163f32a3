"""Where tokens stand in their own rows, padding aside: of a mask, and of a forward pass as the decoder's arguments tell
it, without asking the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from penchant.errors import InputError


def positions_of(there: Bool[Tensor, "rows tokens"]) -> Int[Tensor, "rows tokens"]:
    """The position of each token among those of its row that are no padding; padding in front has position 0."""
    return _counted(there).clamp(min=0)


@dataclass(frozen=True, eq=False)
class TokenPositions:
    """One call of a decoder. past: tokens in its cache, a tensor for static caches. attention: the mask as it was
    given: bool or int [batch, cached + new], a prepared one in four dimensions, or a dictionary of those."""

    batch: int
    new: int
    past: int | Tensor
    device: torch.device
    attention: Any
    positions: Tensor | None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> TokenPositions:
        """given: what the decoder's forward was called with, by name."""
        tokens, cache = given.get("input_ids"), given.get("past_key_values")
        if tokens is None:
            tokens = given["inputs_embeds"]
        past = 0 if cache is None else cache.get_seq_length()
        positions = given.get("position_ids")
        if positions is not None and positions.dim() != 2:  # those in three dimensions are of pictures
            positions = None
        batch, new = tokens.shape[:2]
        return cls(batch, new, past, tokens.device, given.get("attention_mask"), positions)

    @property
    def flat(self) -> Tensor | None:
        """The mask, if it is one of tokens."""
        return self.attention if isinstance(self.attention, Tensor) and self.attention.dim() == 2 else None

    @property
    def end(self) -> int | None:
        """A position that no token of this pass reaches; None where only the device knows. Not for compiled code,
        which would be compiled for each length."""
        counted = self.flat is not None or (self.attention is None and self.positions is None)
        # Padding only lowers a token's position below its column in the cache.
        return self.past + self.new if counted and isinstance(self.past, int) else None

    def reached(self, begin: Tensor) -> Tensor:
        """bool [batch or 1, new]: the tokens, padding aside, at positions from begin [batch or 1, 1] on."""
        if self.flat is not None:
            return self._by_mask(self.flat, begin)
        positions = self.positions
        if positions is None:
            positions = (torch.arange(self.new, device=self.device) + self.past)[None]
        mask = positions >= begin
        there = _attending(self.attention)
        return mask if there is None else mask & there

    def columns(self) -> Tensor:
        """[batch or 1, cached + new]: the position of every token so far; padding has that of the token before it.

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
            # As transformers aligns it: a mask may go on behind the new tokens.
            new = slice(self.past, self.past + self.new)
            there, at = there[:, new], at[:, new]
        return (at >= begin) & there


def _attending(attention: Any) -> Tensor | None:
    """bool [batch, new]: the tokens that attend to anything, by a prepared mask [batch, heads, new, keys]. Left padding
    doesn't. (Prepared masks are what `generate` makes for static caches, and its padding is on the left.)"""
    if isinstance(attention, dict):
        attention = next((mask for mask in attention.values() if isinstance(mask, Tensor)), None)
    if not isinstance(attention, Tensor) or attention.dim() != 4:
        return None
    seen = attention if attention.dtype == torch.bool else attention > torch.finfo(attention.dtype).min / 2
    return seen[:, 0].any(-1)


def _counted(there: Tensor) -> Tensor:
    return there.long().cumsum(1) - 1
