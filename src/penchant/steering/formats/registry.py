"""Formats by name. Adding one is a file, a line in FORMATS, and one in `steering.choices`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack

from penchant.errors import InputError
from penchant.inference.intervention import Intervention
from penchant.models.loading import LoadedModel
from penchant.options import check_options
from penchant.steering import choices
from penchant.steering.formats.easysteer import read_easysteer, write_easysteer
from penchant.steering.formats.exported import Export
from penchant.steering.formats.gguf_file import read_gguf, write_gguf
from penchant.steering.formats.safetensors_file import read_safetensors, write_safetensors
from penchant.steering.formats.vllm_hook import write_vllm_hook


@dataclass(frozen=True)
class Format:
    """write: (intervention, path, model, approximate=, options) -> `Export`. read: (path, model, other_model=, options)
    -> `Intervention`; None: its files can't be read alone. suffix: identifies its files.
    """

    write: Callable[..., Export]
    read: Callable[..., Intervention] | None
    suffix: str


FORMATS: dict[str, Format] = {
    "safetensors": Format(write_safetensors, read_safetensors, ".safetensors"),
    "gguf": Format(write_gguf, read_gguf, ".gguf"),
    "easysteer": Format(write_easysteer, read_easysteer, ".json"),
    "vllm-hook": Format(write_vllm_hook, None, ".pt"),
}


class WriteOptions(TypedDict, total=False):
    """What some formats take when they are written: `model_hint` and `layer_0` (gguf), `source` (easysteer),
    `server_path` (vllm-hook).
    """

    model_hint: str | None
    layer_0: bool
    source: str | None
    server_path: str | None


class ReadOptions(TypedDict, total=False):
    """What some formats take when they are read: `scope` (gguf)."""

    scope: str


def formats() -> dict[str, str]:
    """Return name -> description."""
    return dict(choices.FORMATS)


def export(
    intervention: Intervention,
    format: str,
    path: Path | str | None = None,
    *,
    model: LoadedModel | None = None,
    approximate: bool = False,
    **options: Unpack[WriteOptions],
) -> Export:
    """Write an intervention of one row in a format of `formats()`; interventions that it can't express are refused.

    path: the file to write; optional for request formats. model: the one that the vectors were made with. approximate:
    approximate what the format can't express; the result's `notes` list the differences. options: the format's own (see
    its `write_` function). Raises `InputError`.
    """
    found = _format(format)
    check_options(found.write, options, format, besides=("approximate",))
    where = None if path is None else Path(path)
    return found.write(intervention, where, model, approximate=approximate, **options)


def read(
    path: Path | str,
    format: str | None = None,
    *,
    model: LoadedModel | None = None,
    other_model: bool = False,
    **options: Unpack[ReadOptions],
) -> Intervention:
    """Read the intervention in a file. format: default by suffix. model: the model to use it with; the file is checked
    against it.

    other_model: accept a file made with another model. options: the format's own. Raises `InputError`.
    """
    path = Path(path)
    if format is None:
        format = next((name for name, found in FORMATS.items() if found.suffix == path.suffix.lower()), "")
        if not format:
            known = ", ".join(found.suffix for found in FORMATS.values() if found.read)
            raise InputError(f"{path} has none of the suffixes {known}: pass format=...")
    found = _format(format)
    if found.read is None:
        raise InputError(f"{path} is only half of a {format} request: use penchant.steering.formats.vllm_hook")
    check_options(found.read, options, format, besides=("other_model",))
    return found.read(path, model, other_model=other_model, **options)


def _format(name: str) -> Format:
    try:
        return FORMATS[name]
    except KeyError:
        raise InputError(f"no format {name!r}: expected one of {', '.join(FORMATS)}") from None
