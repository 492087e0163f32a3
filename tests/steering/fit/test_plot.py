"""The picture of what was tried."""

from pathlib import Path

import numpy as np
import pytest
import torch

from penchant.errors import InputError
from penchant.inference.sites import Site
from penchant.steering.apply.aggregation import Aggregation
from penchant.steering.config import Effect, SteeringConfig
from penchant.steering.fit.plot import effect_grid, plot_effects
from penchant.steering.storage.bank import KeySite

BLOCK = Site(1, "block")
TRIED = (
    Effect(8, 0.05, "population", "", -0.1, 0.01),
    Effect(12, 0.05, "population", "", 0.2, 0.01),
    Effect(8, 0.1, "population", "", 0.3, 0.01),
    Effect(12, 0.03, "own", "all, uniform", 0.4, 0.01),
    Effect(12, 0.06, "own", "all, softmax 0.1", 0.5, 0.01),
)


def config(effects: tuple[Effect, ...]) -> SteeringConfig:
    key = KeySite(BLOCK)
    return SteeringConfig(
        "ascent", "f" * 64, "tiny", "gradient", (BLOCK,), key, "last_1", 2.0, Aggregation(), torch.zeros(4),
        {BLOCK: 1.0}, effects=effects,
    )  # fmt: skip


def test_grids() -> None:
    columns, strengths, gains = effect_grid(TRIED[:3])
    assert (columns, strengths) == (["8", "12"], [0.05, 0.1])
    np.testing.assert_array_equal(gains, [[-0.1, 0.2], [0.3, np.nan]])
    columns, strengths, gains = effect_grid(TRIED[3:])  # one layer: by weights
    assert (columns, strengths) == (["all, uniform", "all, softmax 0.1"], [0.03, 0.06])
    np.testing.assert_array_equal(gains, [[0.4, np.nan], [np.nan, 0.5]])
    both = (*TRIED[3:], Effect(8, 0.03, "own", "all, uniform", -1.0, 0.0), Effect(12, 0.03, "own", "top 5", 0.9, 0.0))
    columns, _, gains = effect_grid(both)  # several layers: the best of the weights
    assert (columns, gains.tolist()[0]) == (["8", "12"], [-1.0, 0.9])


@pytest.mark.parametrize("effects", [TRIED, TRIED[:3], TRIED[3:4]])
def test_a_picture(tmp_path: Path, effects: tuple[Effect, ...]) -> None:
    plot_effects(config(effects), tmp_path / "effects.svg")
    drawn = (tmp_path / "effects.svg").read_text(encoding="utf-8")
    assert "<svg" in drawn
    plot_effects(config(effects), tmp_path / "effects.png")
    assert (tmp_path / "effects.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--refit"):
        plot_effects(config(()), tmp_path / "effects.png")
    with pytest.raises(InputError, match=r"effects\.txt"):
        plot_effects(config(TRIED), tmp_path / "effects.txt")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match="can't write"):
        plot_effects(config(TRIED), tmp_path / "folder.png")
