"""Computes attention rows from queries, keys and mask."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError


def attention_rows(
    query: Float[Tensor, "batch heads tokens dim"],
    key: Float[Tensor, "batch kv_heads context dim"],
    mask: Tensor | None,
    scaling: float,
    rows: Sequence[int] | None,
    *,
    cap: float | None = None,
    sinks: Float[Tensor, " heads"] | None = None,
) -> Float[Tensor, "batch heads rows context"]:
    """Return attention probabilities (float32) of the given rows. `mask` is that of SDPA: boolean, additive, or None
    for causal with the last row at the last key. The row of a padding token, which attends to nothing, is zero. cap,
    sinks: see `Call`; with sinks a row sums to less than 1.

    Raises `InputError` for a row beyond the new tokens.
    """
    new, context = query.shape[2], key.shape[2]
    beyond = [row for row in rows or () if not -new <= row < new]
    if beyond:
        raise InputError(f"row {beyond[0]} was asked of a read of {new} tokens: expected {-new} to {new - 1}")
    at = torch.arange(new, device=query.device) if rows is None else torch.tensor(rows, device=query.device) % new
    picked = query[:, :, at]
    batch, heads, count, dim = picked.shape
    grouped = picked.reshape(batch, key.shape[1], heads // key.shape[1], count, dim)
    logits = torch.einsum("bkgrd,bktd->bkgrt", grouped.float(), key.float()).reshape(batch, heads, count, context)
    logits.mul_(scaling)
    if cap is not None:
        logits.div_(cap).tanh_().mul_(cap)
    hidden = None
    if mask is None:
        visible = torch.arange(context, device=query.device)[None, :] <= (at + context - new)[:, None]
        logits.masked_fill_(~visible, float("-inf"))
    elif mask.dtype == torch.bool:
        hidden = ~mask[:, :, at, :context]
        logits.masked_fill_(hidden, float("-inf"))
    else:
        logits.add_(mask[:, :, at, :context].float())
    if sinks is not None:
        sink = sinks.float().reshape(1, -1, 1, 1).expand(batch, -1, count, 1)
        return torch.cat([logits, sink], -1).softmax(-1)[..., :-1]
    found = logits.softmax(-1)
    return found if hidden is None else found.masked_fill_(hidden.all(-1, keepdim=True), 0.0)
