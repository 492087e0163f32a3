"""Attention of some key heads, their query heads grouped, with a bonus in its mask."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from penchant.inference.attention_hooks import Call


def attend(call: Call) -> Tensor:
    """Return attention as the model computes it: SDPA, or with its soft cap or sinks.

    query [batch, key heads, groups, new, dim]; key and value [batch, key heads, context, dim]; mask [batch, key heads,
    groups, new, context], added to the logits; sinks [key heads, groups]. Returns a tensor like `query`.
    """
    if call.cap is None and call.sinks is None:
        assert call.mask is not None
        flat = call.query.flatten(2, 3), call.key, call.value, call.mask.flatten(2, 3)
        made = nn.functional.scaled_dot_product_attention(*flat, scale=call.scaling)
        return made.reshape(*call.query.shape[:-1], -1)
    return _own_attention(call)


def _own_attention(call: Call) -> Tensor:
    logits = torch.einsum("bkgnd,bktd->bkgnt", call.query.float(), call.key.float()) * call.scaling
    if call.cap is not None:
        logits = (logits / call.cap).tanh() * call.cap
    if call.mask is not None:
        logits = logits + call.mask.float()
    if call.sinks is not None:
        logits = torch.cat([logits, call.sinks.float()[..., None, None].expand(*logits.shape[:-1], 1)], -1)
    rows = logits.softmax(-1)[..., : call.key.shape[2]]
    return torch.einsum("bkgnt,bktd->bkgnd", rows, call.value.float()).to(call.value.dtype)


def biased_mask(bonus: Tensor, call: Call, kept: Tensor | slice, start: int, end: int) -> Tensor:
    """Return [batch, kept key heads, groups, end - start, context]: the bonus, and the lowest number for hidden
    keys.
    """
    (_, count, new, _), (kv_heads, context) = call.query.shape, call.key.shape[1:3]
    groups, lowest = count // kv_heads, torch.finfo(bonus.dtype).min
    shape = (*bonus.shape[:3], end - start, context)
    if call.mask is None:
        if new == 1:
            return bonus.expand(shape)
        seen = torch.ones(end - start, context, dtype=torch.bool, device=bonus.device).tril(start)
        return bonus.masked_fill(~seen, lowest)
    mask = call.mask[:, :, start:end, :context]
    mask = mask[:, None] if mask.shape[1] == 1 else mask.reshape(-1, kv_heads, groups, *mask.shape[2:])[:, kept]
    return (torch.where(mask, bonus, lowest) if mask.dtype == torch.bool else bonus + mask).expand(shape)
