"""A heat map of the retrieval heads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from penchant.figures import check_plot, save_plot
from penchant.lens.calibration import Calibration


def plot_heads(auc: npt.NDArray[np.float32], calibration: Calibration, path: Path) -> None:
    """Write a heat map of each head's AUC alone, float [layers, heads], with the calibrated heads framed.

    Raises `InputError` as `check_plot`, and when the file can't be written.
    """
    title = f"{calibration.model_name}: evidence AUC of each head alone"
    plot_maps([HeadMap("AUC", auc, 0.5, 1.0)], calibration.heads, path, title)


@dataclass(frozen=True)
class HeadMap:
    """values: float [layers, heads], nan for heads that weren't tried. low, high: the ends of the colour scale."""

    label: str
    values: npt.NDArray[np.float32]
    low: float
    high: float


def plot_maps(maps: Sequence[HeadMap], framed: Iterable[tuple[int, int]], path: Path, title: str) -> None:
    """Write heat maps over layers and heads, one above the other, with some (layer, head) framed in each.

    Raises `InputError` as `check_plot`, and when the file can't be written.
    """
    check_plot(path)
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    heads = list(framed)
    tried = 1 + max(int(np.flatnonzero(np.isfinite(one.values).any(axis=1)).max()) for one in maps)
    tall = maps[0].values.shape[1]
    figure = Figure(figsize=(1.5 + 0.32 * tried, (1.2 + 0.32 * tall) * len(maps)), layout="constrained")
    for axes, one in zip(figure.subplots(len(maps), squeeze=False)[:, 0], maps, strict=True):
        image = axes.imshow(
            one.values[:tried].T, cmap="cividis", vmin=one.low, vmax=one.high, aspect="equal", origin="lower"
        )
        for layer, head in heads:
            axes.add_patch(Rectangle((layer - 0.5, head - 0.5), 1, 1, fill=False, edgecolor="crimson", linewidth=1.6))
        axes.set(xlabel="layer", ylabel="head")
        axes.set_xticks(range(0, tried, 2))
        axes.set_yticks(range(tall))
        figure.colorbar(image, ax=axes, shrink=0.8, label=one.label)
    figure.suptitle(title)
    save_plot(figure, path)
