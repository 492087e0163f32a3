"""Penchant's own format: a whole intervention, bit for bit, in one safetensors file.

Tensors "15.attention.add" and "15.attention.scale", [1, width], in their own number format. Metadata: format, version,
scope, model, fingerprint, sha256 (of scope, names, number formats and numbers).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from penchant.errors import InputError
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.sites import Site
from penchant.models.loading import LoadedModel
from penchant.steering.formats.exported import (
    Export,
    check_file,
    check_fingerprint,
    check_model,
    needs_path,
    one_row,
    write_whole,
)

FORMAT = "penchant.intervention"
VERSION = 1


def write_safetensors(
    intervention: Intervention, path: Path | None, model: LoadedModel | None = None, *, approximate: bool = False
) -> Export:
    """Write an intervention of one row. Always exact; `approximate` changes nothing.

    model: the one it was made with; its name and fingerprint go into the file. Raises `InputError`.
    """
    path = needs_path(path, "safetensors")
    if model is None:
        raise InputError("vectors belong to one model: expected model=..., the one that they were made with")
    check_model(intervention, model, "the intervention")
    tensors = {}
    for site, edit in one_row(intervention).items():
        for name, tensor in (("add", edit.add), ("scale", edit.scale)):
            if tensor is not None:
                tensors[f"{site}.{name}"] = tensor.detach().cpu().contiguous().clone()
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "scope": intervention.scope,
        "model": model.name,
        "fingerprint": model.fingerprint,
        "sha256": _digest(tensors, intervention.scope),
    }
    content = save(tensors, metadata)
    write_whole(path, lambda partial: partial.write_bytes(content))
    return Export("safetensors", path)


def read_safetensors(path: Path, model: LoadedModel | None = None, *, other_model: bool = False) -> Intervention:
    """Read an intervention written by `write_safetensors`, on the CPU.

    model: the model to use it with; fingerprint, sites and widths are checked. other_model: accept another fingerprint
    (a fine-tuned sibling); sites and widths are still checked. Raises `InputError` for a file that is missing, damaged,
    in another format, of a later version, or of another model.
    """
    check_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path} is damaged or no safetensors file ({error}): get it anew") from error
    if metadata.get("format") != FORMAT:
        raise InputError(f"{path} holds no intervention: expected a file that Penchant exported")
    if metadata.get("version") != str(VERSION):
        raise InputError(f"{path} has version {metadata.get('version')}, expected {VERSION}: update Penchant")
    scope = metadata.get("scope", "")
    if _digest(tensors, scope) != metadata.get("sha256"):
        raise InputError(f"{path} is damaged (it isn't what was written): get it anew")
    intervention = Intervention(_edits(tensors, path), scope)
    if model is not None:
        name, fingerprint = metadata.get("model", "?"), metadata.get("fingerprint", "")
        check_fingerprint(fingerprint, name, model, str(path), other_model)
        check_model(intervention, model, str(path))
    return intervention


def _edits(tensors: Mapping[str, Tensor], path: Path) -> dict[Site, Edit]:
    parts: dict[Site, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        site, _, name = key.rpartition(".")
        if name not in ("add", "scale") or tensor.dim() != 2 or tensor.shape[0] != 1 or not tensor.is_floating_point():
            raise InputError(f"{path} has {key} {list(tensor.shape)}: expected SITE.add or SITE.scale of one row")
        parts.setdefault(Site.parse(site), {})[name] = tensor
    return {site: Edit(**found) for site, found in sorted(parts.items())}


def _digest(tensors: Mapping[str, Tensor], scope: str) -> str:
    digest = hashlib.sha256(f"{scope}\n".encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
