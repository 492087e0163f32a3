"""What is measured of a model once is known in the next process, and no longer than it is true."""

from pathlib import Path

import pytest
import torch

from penchant import load_model
from penchant.inference import recurrence as module
from penchant.inference.recurrence import Recurrence, recurrence
from tests.families import save_tiny, tiny

MAMBA = Recurrence(step=True, chunk=False, padding=True)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The names of the models that were measured, in this process or one after it (`forgotten`)."""
    made, real = [], module._measure
    monkeypatch.setenv("PENCHANT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_measure", lambda loaded: (made.append(loaded.name), real(loaded))[1])
    return made


def test_the_next_process_knows_it(passes: list[str], tmp_path: Path) -> None:
    for family, wanted in (("mamba", MAMBA), ("llama", None)):
        path = save_tiny(family, tmp_path / family)
        assert [recurrence(load_model(str(path))) for _ in range(2)] == [wanted] * 2
    assert len(passes) == 2
    (one, other) = (tmp_path / "cache" / "recurrence").iterdir()
    for damaged in (b"\x00", b"[1]", b'{"gone": true}'):
        for file in (one, other):
            file.write_bytes(damaged)
        assert recurrence(load_model(str(tmp_path / "mamba"))) == MAMBA
    assert len(passes) == 2 + 3


def test_other_weights_and_formats_are_measured_anew(passes: list[str], tmp_path: Path) -> None:
    path = save_tiny("mamba", tmp_path / "mamba")
    recurrence(load_model(str(path)))
    recurrence(load_model(str(path), dtype=torch.bfloat16))
    loaded = load_model(str(path))
    with torch.no_grad():
        next(loaded.model.parameters()).add_(1)
    loaded.model.save_pretrained(path)
    recurrence(load_model(str(path)))
    assert len(passes) == 3


def test_own_code_that_changed_is_measured_anew(
    passes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_tiny("mamba", tmp_path / "mamba")
    recurrence(load_model(str(path)))
    monkeypatch.setattr("inspect.getfile", lambda _: __file__)
    recurrence(load_model(str(path)))
    assert len(passes) == 2


def test_no_cache_is_no_error_and_models_in_memory_leave_nothing(passes: list[str], tmp_path: Path) -> None:
    assert recurrence(tiny("mamba", seed=3)) == MAMBA
    assert not (tmp_path / "cache").exists()
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert recurrence(load_model(str(save_tiny("mamba", tmp_path / "mamba")))) == MAMBA
