"""What is checked at a call while tests run."""

import importlib
import sys
from pathlib import Path

import pytest
import torch
from jaxtyping import TypeCheckError, install_import_hook

SOURCE = """from __future__ import annotations
from typing import TYPE_CHECKING
from jaxtyping import Float
from torch import Tensor
if TYPE_CHECKING:
    from nowhere import Unknown
Row = Float[Tensor, "width"]

def added(one: Float[Tensor, "width"], other: Float[Tensor, "width"]) -> Tensor:
    return one.sum() + other.sum()

def named(one: Row, other: Row) -> Tensor:
    return added(one, one)

def doubled(count: int) -> int:
    return 2 * count

def kept(one: Unknown) -> Unknown:
    return one

class Held:
    def doubled(self, count: int) -> int:
        return 2 * count

def inside(row: object, count: object) -> object:
    def shaped(one: Float[Tensor, "width"]) -> Tensor:
        return one
    def plain(count: int) -> int:
        return 2 * count
    return shaped(row), plain(count)
"""


def test_shapes_and_types_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "signatures_for_a_test.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    with install_import_hook("signatures_for_a_test", "tests.shapes.checked"):
        made = importlib.import_module("signatures_for_a_test")
    monkeypatch.delitem(sys.modules, "signatures_for_a_test")
    two, three = torch.ones(2), torch.ones(3)
    assert made.added(two, two) == made.named(two, three[:2]) == 4
    for wrong in (made.added, made.named):
        with pytest.raises(TypeCheckError):
            wrong(two, three)
    for wrong in (made.doubled, made.Held().doubled):
        assert wrong(2) == 4
        with pytest.raises(Exception, match="violates type hint"):
            wrong("2")
    assert made.inside(two, 1)[1] == 2
    with pytest.raises(TypeCheckError):
        made.inside(torch.ones(2, 2), 1)
    assert (made.inside(two, "2")[1], made.kept("2")) == ("22", "2")  # left to mypy
