"""A picture of which heads retrieve."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from penchant.errors import InputError
from penchant.lens.calibration import Calibration

FORMATS = (".png", ".svg", ".pdf")


def check_plot(path: Path) -> None:
    """Raise `InputError` where a picture couldn't be written there: matplotlib is missing, the name ends in no known
    format, or there is no such folder."""
    if find_spec("matplotlib") is None:
        raise InputError("a plot needs matplotlib: pip install 'penchant[bench]'")
    if path.suffix.lower() not in FORMATS or not path.parent.is_dir():
        raise InputError(f"can't write the plot {path}: expected a {', '.join(FORMATS)} file in a folder that exists")


def plot_heads(auc: npt.NDArray[np.float32], calibration: Calibration, path: Path) -> None:
    """Write a heat map of each head's AUC alone, float [layers, heads], with the calibrated heads framed.

    Raises `InputError` as `check_plot`, and when the file can't be written.
    """
    check_plot(path)
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

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
    except OSError as error:
        raise InputError(f"can't write the plot {path} ({error.strerror or error}): name another file") from error
