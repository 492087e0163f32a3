"""What a measurement ran on: processor, memory, versions and revision. Never a host name."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

PACKAGES = ("penchant", "torch", "transformers", "tokenizers", "numpy", "safetensors")
FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8")


def describe(threads: int) -> dict[str, Any]:
    """Processor, cores, the flags that decide how fast bf16 is, memory, and versions."""
    model, flags = "unknown", set[str]()
    if Path("/proc/cpuinfo").is_file():
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            if key.strip() == "flags":
                flags = set(value.split())
    return {
        "cpu": model if model != "unknown" else platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": threads,
        "flags": [flag for flag in FLAGS if flag in flags],
        "memory_gib": round(memory() / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: metadata.version(package) for package in PACKAGES},
        "revision": revision(),
    }


def memory() -> int:
    """Bytes of main memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def revision() -> str:
    """The git revision, with "+" when files under version control differ from it."""
    root = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def matrix_throughput(
    shapes: Iterable[tuple[int, int]], dtype: torch.dtype, *, rows: Iterable[int] = (512, 1024, 2048, 4096)
) -> dict[str, Any]:
    """FLOP/s of products with weights [out, in] of these shapes, one after the other, best of 30 for each and of the
    numbers of rows: what the machine gives when nothing but a layer's products is done."""
    weights = [nn.Linear(inputs, outputs, bias=False).to(dtype).requires_grad_(False) for outputs, inputs in shapes]
    needed = sum(2 * weight.in_features * weight.out_features for weight in weights)
    by_rows: dict[int, float] = {}
    for count in rows:
        seconds = 0.0
        for weight in weights:
            values = torch.randn(count, weight.in_features).to(dtype)
            best = float("inf")
            for _ in range(30):
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
