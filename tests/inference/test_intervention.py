"""Interventions by themselves: scopes, strengths, rows put together."""

import pytest
import torch

from penchant.errors import InputError
from penchant.inference.intervention import Edit, Intervention, prompt_tail, stack
from penchant.inference.sites import Site

A, B = Site(1, "attention"), Site(2, "mlp")


def test_scopes() -> None:
    assert [prompt_tail(scope) for scope in ("after_prompt", "all", "last_1", "last_12")] == [0, None, 1, 12]
    for scope in ("", "last", "last_", "last_-1", "last_x", "first_1", "prompt", "last_1.5"):
        with pytest.raises(InputError, match=r"expected after_prompt, all, or the prompt's last tokens: last_1"):
            Intervention({A: Edit(torch.ones(1, 4))}, scope)


def test_rows() -> None:
    assert Intervention().rows == Intervention({A: Edit()}).rows == 0
    assert Intervention({A: Edit(), B: Edit(None, torch.ones(3, 4))}).rows == 3
    with pytest.raises(InputError, match=r"an intervention with \[2, 3\] rows"):
        Intervention({A: Edit(torch.ones(2, 4)), B: Edit(torch.ones(3, 4))})
    with pytest.raises(InputError, match=r"an intervention with \[2, 3\] rows"):
        Intervention({A: Edit(torch.ones(2, 4), torch.ones(2, 4)), B: Edit(None, torch.ones(3, 4))})


def test_what_a_caller_does_to_the_mapping_later_is_not_followed() -> None:
    edits = {A: Edit(torch.ones(1, 4))}
    made = Intervention(edits)
    edits[B] = Edit(torch.ones(2, 4))
    assert list(made.edits) == [A]


def test_strength() -> None:
    add, scale = torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0, 1.0]])
    once = Intervention({A: Edit(add, scale), B: Edit(None, scale)}, "last_2")
    twice = once.times(2.0)
    assert twice.scope == "last_2"
    assert twice.edits[A].add.tolist() == [[2.0, -4.0]]  # type: ignore[union-attr]
    assert twice.edits[A].scale.tolist() == [[5.0, 1.0]]  # type: ignore[union-attr]
    assert twice.edits[B].add is None
    assert once.times(0.0).edits[B].scale.tolist() == [[1.0, 1.0]]  # type: ignore[union-attr]
    assert (add.tolist(), scale.tolist()) == ([[1.0, -2.0]], [[3.0, 1.0]])


def test_rows_are_put_together_in_order() -> None:
    one = Intervention({A: Edit(torch.full((1, 2), 1.0))}, "all")
    two = Intervention({A: Edit(torch.full((2, 2), 2.0)), B: Edit(None, torch.full((2, 3), 5.0))}, "all")
    made = stack([None, one, two, Intervention()])
    assert made is not None
    assert (made.rows, made.scope, sorted(made.edits)) == (5, "all", [A, B])
    assert made.edits[A].add.tolist() == [[0, 0], [1, 1], [2, 2], [2, 2], [0, 0]]  # type: ignore[union-attr]
    assert made.edits[A].scale is made.edits[B].add is None
    scale = [[1, 1, 1], [1, 1, 1], [5, 5, 5], [5, 5, 5], [1, 1, 1]]
    assert made.edits[B].scale.tolist() == scale  # type: ignore[union-attr]


def test_nothing_put_together() -> None:
    assert stack([]) is stack([None, None]) is stack([Intervention(), Intervention({A: Edit()}, "all")]) is None
    # What writes nothing has no say in the scope.
    made = stack([Intervention({A: Edit()}, "all"), Intervention({A: Edit(torch.ones(1, 2))})])
    assert made is not None
    assert (made.rows, made.scope) == (2, "after_prompt")


def test_rows_that_do_not_go_together() -> None:
    one = Intervention({A: Edit(torch.ones(1, 2))})
    with pytest.raises(InputError, match=r"different scopes \(after_prompt, all\)"):
        stack([one, Intervention({A: Edit(torch.ones(1, 2))}, "all")])
    with pytest.raises(InputError, match=r"rows with \[2, 3\] numbers at one site"):
        stack([one, Intervention({A: Edit(torch.ones(1, 3))})])


def test_rows_are_taken_by_number() -> None:
    table = torch.arange(6.0).reshape(3, 2)
    site = Site(1, "block")
    found = Intervention({site: Edit(table, table + 1), Site(2, "mlp"): Edit(scale=table)}, "last_1").take([2, 0])
    assert (found.scope, found.rows) == ("last_1", 2)
    edit, scaled = found.edits[site], found.edits[Site(2, "mlp")]
    assert edit.add is not None and edit.scale is not None and scaled.add is None and scaled.scale is not None
    assert torch.equal(edit.add, table[[2, 0]]) and torch.equal(edit.scale, table[[2, 0]] + 1)
    assert torch.equal(scaled.scale, table[[2, 0]])
