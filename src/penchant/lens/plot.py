"""A picture of which heads retrieve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from penchant.errors import InputError
from penchant.lens.calibration import Calibration


def plot_heads(auc: npt.NDArray[np.float32], calibration: Calibration, path: Path) -> None:
    """Write a heat map of each head's AUC alone, float [layers, heads], with the calibrated heads framed.

    Raises `InputError` when matplotlib isn't installed or the file can't be written.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle
    except ImportError:
        raise InputError("--plot needs matplotlib: pip install 'penchant[bench]'") from None
    tried = int(np.isfinite(auc).any(axis=1).sum())
    figure = Figure(figsize=(1.5 + 0.32 * tried, 1.2 + 0.32 * auc.shape[1]), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(auc[:tried].T, cmap="cividis", vmin=0.5, vmax=1.0, aspect="equal", origin="lower")
    for layer, head in calibration.heads:
        axes.add_patch(Rectangle((layer - 0.5, head - 0.5), 1, 1, fill=False, edgecolor="crimson", linewidth=1.6))
    axes.set(xlabel="layer", ylabel="head", title=f"{calibration.model_name}: evidence AUC of each head alone")
    axes.set_xticks(range(0, tried, 2))
    axes.set_yticks(range(auc.shape[1]))
    figure.colorbar(image, ax=axes, shrink=0.8, label="AUC")
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise InputError(f"can't write {path}: {error}; expected a .png or .svg in a folder that exists") from error
