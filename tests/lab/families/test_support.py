"""The table of families: what it says is tried, and wrong results aren't taken for right ones."""

from typing import Any

import pytest
import torch

from penchant.inference.kv_cache import growing_cache
from penchant_lab.families import support as module
from penchant_lab.families.support import families_table, support

SAMPLE = ("llama", "lfm2", "gemma4", "llama4", "minimax", "falcon_mamba", "mpt", "recurrent_gemma")


@pytest.mark.slow
def test_a_table_row_for_each_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAMILIES", {name: module.FAMILIES[name] for name in SAMPLE})
    rows = {row.split("`")[1]: row for row in families_table().splitlines()[2:]}
    assert "| yes | yes | attention, mlp, block, heads |" in rows["llama"]
    assert "| yes, at the layers that attend | yes | mlp, block; attention, heads where there is one |" in rows["lfm2"]
    assert "| yes | yes | attention, mlp, block, heads |" in rows["gemma4"] and rows["llama4"].count("yes") == 2
    assert "yes; reads the whole text for each token |" in rows["minimax"]
    assert "| no | yes; prompt in one piece | block |" in rows["falcon_mamba"]
    assert "| no | yes | mlp, block |" in rows["mpt"]
    assert "one prompt at a time" in rows["recurrent_gemma"]


def test_a_reason_names_what_can_be_used() -> None:
    assert "can't be marked by attention" in support("mamba").reason
    assert "mark with bm25 or dense" in support("mamba").reason


def test_wrong_answers_are_no_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penchant.inference.recurrence._measure", lambda loaded: None)
    with pytest.raises(RuntimeError, match="tiny-recurrent_gemma: cached logits are off by"):
        support("recurrent_gemma")


def test_zeros_that_are_written_are_no_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    real = module.logits

    def noisy(loaded: Any, ids: torch.Tensor, **options: Any) -> torch.Tensor:
        return real(loaded, ids, **options) + torch.rand(1)

    monkeypatch.setattr(module, "check_answer", lambda loaded: growing_cache(loaded.model))
    monkeypatch.setattr(module, "logits", noisy)
    with pytest.raises(RuntimeError, match=r"zeros at 3\.attention change the prediction"):
        support("llama")
