"""The command line as it stands in results."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_LEFT_OUT = ("as_json", "fresh", "out")
"""Options that say nothing about what was measured."""
_PLACES = ("model", "adapter")


def command_line(name: str, params: Mapping[str, Any]) -> str:
    """Return the command with file names instead of paths, since results are published. name: "bench mark"."""
    words = ["penchant", *name.split()]
    for key, value in params.items():
        if key in _LEFT_OUT or value in (None, "", False):
            continue
        words.append(f"--{key.replace('_', '-')}")
        if value is not True:
            words.append(Path(value).name if isinstance(value, Path) or key in _PLACES else str(value))
    return shlex.join(words)
