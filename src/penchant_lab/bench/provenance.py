"""What a result was measured with: revision, versions, machine. No names of hosts, users or folders."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

PACKAGES = (
    "penchant",
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "safetensors",
    "bm25s",
    "scikit-learn",
    "nltk",
    "rouge-score",
)
#: Those that decide how fast bfloat16 and int8 products are.
FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8")


def provenance(folder: Path | None = None) -> dict[str, Any]:
    """{"git", "versions", "machine"}, ready for JSON. Whatever can't be found out is None.

    folder: in the repository whose revision is meant (default: the current one)."""
    return {"git": revision(folder), "versions": versions(), "machine": machine()}


def revision(folder: Path | None = None) -> dict[str, Any]:
    """The git commit of the folder (default: the current one), and whether tracked files differ from it."""
    head = _git("rev-parse", "HEAD", folder=folder)
    changed = _git("status", "--porcelain", "--untracked-files=no", folder=folder)
    return {"revision": head, "changed": None if changed is None else bool(changed)}


def own_revision() -> dict[str, Any]:
    """The `revision` of the package itself; None where it isn't run from a checkout, but installed from one."""
    here = Path(__file__)
    if _git("ls-files", "--error-unmatch", here.name, folder=here.parent) is None:
        return {"revision": None, "changed": None}
    return revision(here.parent)


def versions() -> dict[str, str | None]:
    """Of Python and of the packages that scores and seconds depend on; None for one that isn't installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def machine() -> dict[str, Any]:
    """CPU model and flags, cores this process may use, threads torch takes, memory in GiB, load at this moment, GPU if
    any."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = memory_bytes()
    info = _cpu()
    return {
        "cpu": info.get("model name") or platform.processor() or None,
        "flags": [flag for flag in FLAGS if flag in info.get("flags", "").split()],
        "cores": cores,
        "torch_threads": torch.get_num_threads(),
        "memory_gib": round(memory / 2**30, 1) if memory else None,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.machine()}",
    }


def memory_bytes() -> int | None:
    """Main memory of the machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None


def _cpu() -> dict[str, str]:
    """What Linux says of the first core."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return {}
    first = info.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    fields = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in fields}


def _git(*arguments: str, folder: Path | None) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
