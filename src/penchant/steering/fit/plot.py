"""A plot of the candidates among which a configuration was chosen: the effect by layer and strength."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from penchant.errors import InputError
from penchant.figures import check_plot, save_plot
from penchant.steering.config import Effect, SteeringConfig

PARTS = {"population": "what helps everyone", "own": "the users' own vectors"}


def effect_grid(effects: Sequence[Effect]) -> tuple[list[str], list[float], npt.NDArray[np.float64]]:
    """Return columns, strengths, and gains [strengths, columns], nan for combinations that weren't tried.

    A column is a layer (with the best of several weightings), or, if only one layer was tried, a weighting of samples.
    """
    layers = sorted({effect.layer for effect in effects})
    by_weights = len(layers) == 1 and len({effect.aggregation for effect in effects}) > 1
    columns = list(dict.fromkeys(effect.aggregation for effect in effects)) if by_weights else list(map(str, layers))
    strengths = sorted({effect.strength for effect in effects})
    gains = np.full((len(strengths), len(columns)), np.nan)
    for effect in effects:
        at = strengths.index(effect.strength), columns.index(effect.aggregation if by_weights else str(effect.layer))
        gains[at] = np.fmax(gains[at], effect.gain)
    return columns, strengths, gains


def plot_effects(config: SteeringConfig, path: Path) -> None:
    """Write heat maps of the gains on held-out answers by the population's vector and by the users' own, with the best
    of each framed. Red: worse than no steering.

    Raises `InputError` as `check_plot`, for a configuration without effects, and if the file can't be written.
    """
    check_plot(path)
    parts = {part: [one for one in config.effects if one.part == part] for part in PARTS}
    parts = {part: effects for part, effects in parts.items() if effects}
    if not parts:
        raise InputError(f"no effects are stored for {config.method}: fit it again with --refit")
    from matplotlib.figure import Figure

    grids = {part: effect_grid(effects) for part, effects in parts.items()}
    widest = max(len(columns) for columns, _, _ in grids.values())
    figure = Figure(figsize=(2.5 + 1.1 * widest, 2.6 * len(grids)), layout="constrained")
    most = max(float(np.nanmax(np.abs(gains))) for _, _, gains in grids.values()) or 1.0
    for axes, (part, grid) in zip(figure.subplots(len(grids), squeeze=False)[:, 0], grids.items(), strict=True):
        image = _draw(axes, grid, most)
        axes.set_title(f"{PARTS[part]} (layer {parts[part][0].layer})" if "," in grid[0][0] else PARTS[part])
        axes.set(ylabel="strength", xlabel="weights" if "," in grid[0][0] else "layer")
        figure.colorbar(image, ax=axes, label="gain, nats a token")
    figure.suptitle(f"{config.method} on {config.model_name}: {config.users} users, {config.pairs} answers")
    save_plot(figure, path)


def _draw(axes: Any, grid: tuple[list[str], list[float], npt.NDArray[np.float64]], most: float) -> Any:
    from matplotlib.patches import Rectangle

    columns, strengths, gains = grid
    image = axes.imshow(gains, cmap="RdYlBu", vmin=-most, vmax=most, aspect="auto", origin="lower")
    axes.set_xticks(range(len(columns)), [column.replace(", ", "\n") for column in columns], fontsize=7)
    axes.set_yticks(range(len(strengths)), [f"{strength:g}" for strength in strengths])
    for (row, column), gain in np.ndenumerate(gains):
        if np.isfinite(gain):
            axes.text(column, row, f"{gain:+.3f}", ha="center", va="center", fontsize=7)
    row, column = np.unravel_index(int(np.nanargmax(gains)), gains.shape)
    axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="black", linewidth=1.6))
    return image
