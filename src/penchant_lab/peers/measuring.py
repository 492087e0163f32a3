"""Tokens fed, seconds and bytes, taken as Penchant takes its own (penchant_lab.speed.measure)."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn


@dataclass
class Fed:
    """What went through a model's embedding: tokens and calls."""

    tokens: int = 0
    calls: int = 0


@contextmanager
def counting(model: nn.Module) -> Iterator[Fed]:
    """Count the tokens that are really fed to the model, by a hook on its input embedding."""
    fed = Fed()

    def see(module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        fed.tokens += args[0].numel()
        fed.calls += 1

    handle = cast(Any, model).get_input_embeddings().register_forward_pre_hook(see)
    try:
        yield fed
    finally:
        handle.remove()


def summary(seconds: list[float]) -> dict[str, Any]:
    """Median, best and worst of some runs."""
    return {"seconds": statistics.median(seconds), "best": min(seconds), "worst": max(seconds), "runs": len(seconds)}


def resident(field: str = "VmRSS") -> int:
    """Bytes of this process in memory now, or at the most ("VmHWM"), from /proc (Linux only)."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key == field:
            return int(value.split()[0]) * 1024
    raise OSError(f"no {field} in /proc/self/status")


def forget_peak() -> None:
    """Let "VmHWM" start again from what is resident now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
