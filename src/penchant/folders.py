"""The default folders of Penchant's data and caches."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import platformdirs

_NAME = "penchant"


def data_folder() -> Path:
    """The platform's folder for Penchant's data (not created here)."""
    found = platformdirs.user_data_path(_NAME, appauthor=False)
    return _former("Application Support") or found


def cache_folder() -> Path:
    """$PENCHANT_CACHE, else the platform's folder for Penchant's caches (not created here)."""
    if own := os.environ.get("PENCHANT_CACHE"):
        return Path(own).expanduser()
    found = platformdirs.user_cache_path(_NAME, appauthor=False, opinion=False)
    return _former("Caches") or found


def _former(kind: str) -> Path | None:
    """The folder of an earlier release on macOS, where platformdirs obeys XDG variables and that one didn't."""
    former = Path.home() / "Library" / kind / _NAME
    return former if sys.platform == "darwin" and former.is_dir() else None
