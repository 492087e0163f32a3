"""Measuring seconds, bytes and tokens fed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn


def repeated(call: Callable[[int], object], times: int) -> list[float]:
    """Seconds of `call(0)`, `call(1)`, ...; warm up before, where that isn't what is measured."""
    seconds = []
    for number in range(times):
        began = time.perf_counter()
        call(number)
        seconds.append(time.perf_counter() - began)
    return seconds


def summary(seconds: list[float]) -> dict[str, Any]:
    """Median, best and worst of some runs."""
    return {
        "seconds": statistics.median(seconds),
        "best": min(seconds),
        "worst": max(seconds),
        "runs": len(seconds),
    }


@dataclass
class Fed:
    """What went through a model's embedding: tokens (padding included) and calls."""

    tokens: int = 0
    calls: int = 0


@contextmanager
def counting(model: nn.Module) -> Iterator[Fed]:
    """Count the tokens that are really fed to the model, by a hook on its input embedding."""
    fed = Fed()

    def see(module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        fed.tokens += args[0].numel()
        fed.calls += 1

    handle = model.get_input_embeddings().register_forward_pre_hook(see)  # type: ignore[operator]
    try:
        yield fed
    finally:
        handle.remove()


@dataclass(frozen=True)
class Resident:
    """Bytes of a process that lie in memory. files: mapped from disk, which the system can take back at any time."""

    now: int
    peak: int
    anonymous: int
    files: int


def resident() -> Resident:
    """Of this process, from /proc (Linux only)."""
    fields = {}
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if value.strip().endswith("kB"):
            fields[key] = int(value.split()[0]) * 1024
    return Resident(fields["VmRSS"], fields["VmHWM"], fields["RssAnon"], fields["RssFile"])


def forget_peak() -> None:
    """Let `resident().peak` start again from what is resident now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
