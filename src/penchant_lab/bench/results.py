"""The folder that results are written to."""

from __future__ import annotations

from pathlib import Path

from penchant.errors import InputError
from penchant.files import try_to_write


def check_folder(folder: Path) -> None:
    """Raise `InputError` if a folder can't be made, or nothing can be written in it: before the work, not after it.
    Makes nothing.
    """
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    try:
        try_to_write(there / "results.json")
    except OSError as error:
        raise _unwritable(folder, error) from error


def make_folder(folder: Path) -> None:
    """Make a folder for results. Raises `InputError` as `check_folder`."""
    check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(f"can't write to {folder} ({error.strerror or error}): expected a folder; see --out")
