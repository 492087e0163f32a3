"""Choosing a device and a dtype."""

import pytest
import torch

from penchant.errors import ModelError
from penchant.models.device import choose_device, choose_dtype, cpu_multiplies_bf16


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PENCHANT_DEVICE", raising=False)
    monkeypatch.delenv("PENCHANT_DTYPE", raising=False)


def test_argument_beats_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENCHANT_DTYPE", "float16")
    assert choose_dtype() == torch.float16
    assert choose_dtype("bf16") == torch.bfloat16
    assert choose_dtype(torch.float32) == torch.float32
    monkeypatch.setenv("PENCHANT_DEVICE", "meta")
    assert choose_device().type == "meta"
    assert choose_device("cpu").type == "cpu"


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_device_by_what_is_there(monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device().type == expected


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16),
        ({"bf16": True}, torch.bfloat16),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False}, torch.float32),
    ],
)
def test_cpu_dtype_by_instructions(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert cpu_multiplies_bf16() == (expected == torch.bfloat16)
    assert choose_dtype(device=torch.device("cpu")) == expected


@pytest.mark.parametrize(("native", "expected"), [(True, torch.bfloat16), (False, torch.float16)])
def test_cuda_dtype(monkeypatch: pytest.MonkeyPatch, native: bool, expected: torch.dtype) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: native)
    assert choose_dtype(device=torch.device("cuda")) == expected


def test_unknown_settings_are_one_line_errors() -> None:
    for call in (lambda: choose_dtype("int8"), lambda: choose_dtype(torch.int8), lambda: choose_device("abacus")):
        with pytest.raises(ModelError, match="expected") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(ModelError, match="not available on this machine"):
        choose_device(f"cuda:{torch.cuda.device_count() + 7}")
