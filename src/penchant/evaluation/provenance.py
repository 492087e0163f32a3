"""What a result was measured with: revision, versions, machine. No names of hosts, users or folders."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("penchant", "torch", "transformers", "tokenizers", "numpy", "bm25s", "scikit-learn")


def provenance(folder: Path | None = None) -> dict[str, Any]:
    """{"git", "versions", "machine"}, ready for JSON. Whatever can't be found out is None.

    folder: in the repository whose revision is meant (default: the current one)."""
    return {"git": revision(folder), "versions": versions(), "machine": machine()}


def revision(folder: Path | None = None) -> dict[str, Any]:
    """The git commit of the folder (default: the current one), and whether tracked files differ from it."""
    head = _git("rev-parse", "HEAD", folder=folder)
    changed = _git("status", "--porcelain", "--untracked-files=no", folder=folder)
    return {"revision": head, "changed": None if changed is None else bool(changed)}


def versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def machine() -> dict[str, Any]:
    """CPU model, cores this process may use, threads torch takes, memory in GiB, load at this moment, GPU if any."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None
    return {
        "cpu": _cpu_model(),
        "cores": cores,
        "torch_threads": torch.get_num_threads(),
        "memory_gib": round(pages / 2**30, 1) if pages else None,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.machine()}",
    }


def _cpu_model() -> str | None:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None


def _git(*arguments: str, folder: Path | None) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
