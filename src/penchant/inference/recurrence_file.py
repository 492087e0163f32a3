"""What `inference.recurrence` measured of a model, kept for the next process beside the model caches.

The file's name covers whatever may change the answer: the model's identity, the number format, the device, the code of
the model's class, and the packages that run it. A file that can't be read is measured and written anew.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import json
import logging
from pathlib import Path
from typing import Any

from penchant.files import write_text
from penchant.folders import cache_folder
from penchant.models.loading import LoadedModel

PACKAGES = ("torch", "transformers", "mamba-ssm", "causal-conv1d", "flash-linear-attention", "kernels")
"""Those that compute recurrent layers."""

log = logging.getLogger(__name__)


def kept(loaded: LoadedModel) -> dict[str, bool] | None:
    """Return what was kept of a model, by field; {}: it reads a text in any parts; None: nothing was kept."""
    if not loaded.spec:
        return None
    try:
        found = json.loads(_path(loaded).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and all(isinstance(one, bool) for one in found.values()) else None


def keep(loaded: LoadedModel, measured: dict[str, bool]) -> None:
    """Keep what was measured; of a model that was made in memory, nothing is."""
    if not loaded.spec:
        return
    path = _path(loaded)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(measured) + "\n")
    except OSError as error:  # a cache that can't be written costs time, no more
        log.info("%s isn't kept for the next process: %s", path.name, error)


def _path(loaded: LoadedModel) -> Path:
    device = loaded.device.type
    facts = [loaded.fingerprint, str(loaded.dtype), device, str(loaded.model.config._attn_implementation)]
    facts += [_version(name) for name in PACKAGES]
    for one in {type(loaded.model), type(loaded.base)}:
        facts.append(_code(one))
    return cache_folder() / "recurrence" / f"{hashlib.sha256('|'.join(sorted(facts)).encode()).hexdigest()}.json"


def _version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return package


def _code(kind: type[Any]) -> str:
    """Return the SHA-256 of the file that defines a class: a model's own code may change under the same weights."""
    try:
        return hashlib.sha256(Path(inspect.getfile(kind)).read_bytes()).hexdigest()
    except (OSError, TypeError):
        return kind.__qualname__
