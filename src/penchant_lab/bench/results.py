"""The folder that results are written to."""

from __future__ import annotations

import os
from pathlib import Path

from penchant.errors import InputError


def make_folder(folder: Path) -> None:
    """Make a folder for results. Raises `InputError` where nothing can be written: before the work, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"can't write to {folder} ({error.strerror}): expected a folder; see --out") from error
    if not os.access(folder, os.W_OK):
        raise InputError(f"can't write to {folder}: expected a folder that can be written; see --out")
