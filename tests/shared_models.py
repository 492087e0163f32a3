"""Models that many tests use and none changes are read once a process: commands that run in this process would read
them anew each time, and that would be most of what they do."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

from penchant.inference.sentence_encoder import PACKAGE, Encoder
from penchant.marking import dense
from penchant.models import loading
from penchant.models.loading import LoadedModel

_directories: set[str] = set()


def share(directory: Path) -> None:
    """Read the model in a directory once from now on. For tests that leave it as it is."""
    _directories.add(str(directory))


def install() -> None:
    """For modules that are imported from now on."""
    load = loading.load_model
    shared: dict[tuple[object, ...], LoadedModel] = {}

    @functools.wraps(load)
    def load_once(spec: str | Path = "smollm2", **options: Any) -> LoadedModel:
        if str(spec) not in _directories:
            return load(spec, **options)
        chosen = {**dict.fromkeys(("device", "dtype")), **options}
        key = (
            str(spec),
            *map(str, chosen.items()),
            *(str(getattr(spec, name, None)) for name in ("adapter", "device", "dtype")),
            os.environ.get("PENCHANT_DEVICE"),
            os.environ.get("PENCHANT_DTYPE"),
        )
        if key not in shared:
            shared[key] = load(spec, **options)
        return shared[key]

    read_once = functools.cache(Encoder)

    def encoder(directory: Path) -> Encoder:
        return read_once(directory) if directory.parent.name == PACKAGE else Encoder(directory)

    loading.load_model = load_once
    dense.Encoder = encoder
