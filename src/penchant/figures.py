"""Figures in files, drawn with matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from penchant.errors import InputError
from penchant.extras import require
from penchant.files import atomic_write, check_writable, unwritable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")


def check_plot(path: Path) -> None:
    """Raise `InputError` if a plot can't be written to `path`: matplotlib is missing, the format is unknown, or the
    file can't be written. Imports nothing.
    """
    require("matplotlib", extra="bench", why="a plot")
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"can't write the plot {path}: expected a {', '.join(FORMATS)} file")
    check_writable(path)


def save_plot(figure: Figure, path: Path) -> None:
    """Write a figure. Raises `InputError` if that fails."""
    try:
        with atomic_write(path) as part:
            figure.savefig(part, dpi=150, format=path.suffix[1:].lower())
    except OSError as error:
        raise unwritable(path, error) from error
