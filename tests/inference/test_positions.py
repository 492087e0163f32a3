"""Masks and positions in the forms that the tiny models' own passes don't give."""

from typing import Any

import pytest
import torch

from penchant.inference.positions import TokenPositions

THERE = torch.tensor([[[[False, False, False], [False, True, False], [False, True, True]]]])
"""Left padding of one token, as a prepared mask [batch, heads, new, keys]."""


@pytest.mark.parametrize("low", [float("-inf"), torch.finfo(torch.bfloat16).min, None])
@pytest.mark.parametrize("named", [False, True])
def test_prepared_masks(low: float | None, named: bool) -> None:
    mask: Any = THERE if low is None else torch.where(THERE, 0.0, low).bfloat16()
    if named:
        mask = {"sliding_attention": None, "full_attention": mask}
    given = {"input_ids": torch.zeros(1, 3, dtype=torch.long), "attention_mask": mask}
    tokens = TokenPositions.of({**given, "position_ids": torch.tensor([[0, 0, 1]])})
    assert (tokens.flat, tokens.end) == (None, None)
    assert tokens.reached(torch.tensor([[0]])).tolist() == [[False, True, True]]
    assert tokens.reached(torch.tensor([[1]])).tolist() == [[False, False, True]]


def test_positions_of_pictures_are_not_counts() -> None:
    tokens = TokenPositions.of(
        {"inputs_embeds": torch.zeros(2, 4, 8), "position_ids": torch.zeros(3, 2, 4, dtype=torch.long)}
    )
    assert (tokens.batch, tokens.new, tokens.end) == (2, 4, 4)
    assert tokens.reached(torch.tensor([[1], [3]])).tolist() == [[False, True, True, True], [False] * 3 + [True]]
