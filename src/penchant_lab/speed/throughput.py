"""The machine's throughput for a layer's matrix products alone."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


def matrix_throughput(
    shapes: Iterable[tuple[int, int]],
    dtype: torch.dtype,
    *,
    rows: Iterable[int] = (512, 1024, 2048, 4096),
    repeats: int = 30,
) -> dict[str, Any]:
    """FLOP/s of products with weights [out, in] of these shapes, one after the other, the best of `repeats` for each
    and of the numbers of rows."""
    weights = [nn.Linear(inputs, outputs, bias=False).to(dtype).requires_grad_(False) for outputs, inputs in shapes]
    needed = sum(2 * weight.in_features * weight.out_features for weight in weights)
    by_rows: dict[int, float] = {}
    for count in rows:
        seconds = 0.0
        for weight in weights:
            values = torch.randn(count, weight.in_features).to(dtype)
            best = float("inf")
            for _ in range(repeats):
                began = time.perf_counter()
                weight(values)
                best = min(best, time.perf_counter() - began)
            seconds += best
        by_rows[count] = count * needed / seconds
    return {
        "gflops": max(by_rows.values()) / 1e9,
        "gflops_by_rows": {str(count): round(rate / 1e9, 1) for count, rate in by_rows.items()},
        "shapes": [f"{weight.in_features}x{weight.out_features}" for weight in weights],
        "dtype": str(dtype).removeprefix("torch."),
    }
