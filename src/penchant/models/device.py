"""The device and number format that a model runs with: sensible defaults, settable by argument or environment.

`PENCHANT_DEVICE` (cpu, cuda, cuda:1, mps) and `PENCHANT_DTYPE` (float32, bfloat16, float16) apply if no argument is
given. The number of CPU threads is torch's own (one per physical core unless OMP_NUM_THREADS or `torch.set_num_threads`
says otherwise) and isn't changed.
"""

from __future__ import annotations

import os

import torch

from penchant.errors import ModelError

DTYPES = {
    "float32": torch.float32,
    "fp32": torch.float32,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
    "float16": torch.float16,
    "fp16": torch.float16,
}


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """Return the given device, else PENCHANT_DEVICE, else the first available of cuda, mps and cpu.

    Raises `ModelError` for a device that torch doesn't know or that this machine doesn't have.
    """
    wanted = device or os.environ.get("PENCHANT_DEVICE") or None
    if wanted is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(wanted)
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"unknown device {str(wanted)!r}: expected cpu, cuda, cuda:N or mps") from error
    missing_cuda = chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count()
    if missing_cuda or (chosen.type == "mps" and not torch.backends.mps.is_available()):
        raise ModelError(f"device {str(wanted)!r} is not available on this machine: use cpu, or leave the device out")
    return chosen


def choose_dtype(dtype: str | torch.dtype | None = None, device: torch.device | None = None) -> torch.dtype:
    """Return the given dtype, else PENCHANT_DTYPE, else the fastest one for `device`.

    That is bfloat16 where the hardware multiplies it (CUDA from Ampere on, CPUs with AVX512-BF16, AMX or the ARM bf16
    extension), float16 on older CUDA and on mps, float32 elsewhere. Raises `ModelError` for any other dtype.
    """
    wanted = dtype or os.environ.get("PENCHANT_DTYPE") or None
    if wanted is None:
        return _fast_dtype(device or torch.device("cpu"))
    chosen = wanted if isinstance(wanted, torch.dtype) else DTYPES.get(wanted.removeprefix("torch.").lower())
    if chosen not in DTYPES.values():
        raise ModelError(f"unknown dtype {str(wanted)!r}: expected float32, bfloat16 or float16")
    assert chosen is not None
    return chosen


def _fast_dtype(device: torch.device) -> torch.dtype:
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "mps":
        return torch.float16
    return torch.bfloat16 if cpu_multiplies_bf16() else torch.float32


def cpu_multiplies_bf16() -> bool:
    """Whether the CPU has instructions for bfloat16 products (otherwise they are slower than float32)."""
    has = torch.cpu.get_capabilities()
    return any(bool(has.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16"))
