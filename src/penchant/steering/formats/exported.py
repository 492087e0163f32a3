"""Shared parts of the formats: the result of an export, checks, and atomic writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError
from penchant.files import atomic_write, unwritable
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.sites import Site, site_width
from penchant.models.loading import LoadedModel

Vector = Float[Tensor, "_"]
"""One vector, with the width of its site."""


@dataclass(frozen=True)
class Export:
    """The result of an export. format: its name. path: the written file, if any. body: additional fields of a request's
    JSON body (`extra_body` of the OpenAI client), for request formats. notes: differences from `Runtime`; none: exact.
    """

    format: str
    path: Path | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def one_row(intervention: Intervention) -> dict[Site, Edit]:
    """Return the edits of a single row, without those that have no effect, in the order of their sites.

    Raises `InputError` unless it has exactly one row and finite numbers.
    """
    if intervention.rows != 1:
        raise InputError(f"an intervention with {intervention.rows} rows: expected one; export each user's separately")
    edits = {
        site: edit
        for site, edit in sorted(intervention.edits.items())
        if edit.add is not None or edit.scale is not None
    }
    for site, edit in edits.items():
        for tensor in (edit.add, edit.scale):
            if tensor is not None and not bool(tensor.isfinite().all()):
                raise InputError(f"the vector at {site} has numbers that aren't finite: make it anew")
    return edits


def added_vectors(intervention: Intervention, peer: str) -> dict[Site, Vector]:
    """Return site -> added vector, float32 on the CPU, for tools that can only add.

    Raises `InputError` if a site is scaled, and as `one_row`.
    """
    vectors = {}
    for site, edit in one_row(intervention).items():
        if edit.scale is not None and not bool((edit.scale == 1).all()):
            raise InputError(f"{site} is scaled: {peer} can only add a vector; export it as safetensors")
        if edit.add is not None:
            vectors[site] = edit.add[0].detach().to("cpu", torch.float32)
    if not vectors:
        raise InputError(f"nothing is added at any site: there is no vector to write for {peer}")
    return vectors


def check_model(intervention: Intervention, model: LoadedModel, where: str) -> None:
    """Raise `InputError` if the model lacks a site, or a vector's width differs from the site's."""
    for site, edit in intervention.edits.items():
        if not 0 <= site.layer < model.num_layers:
            raise InputError(
                f"{where} writes at {site}, but {model.name} has layers 0 to {model.num_layers - 1}: "
                "use it with the model that it was made for"
            )
        width = site_width(model.model, site.kind, site.layer)
        for tensor in (edit.add, edit.scale):
            if tensor is not None and tensor.shape[1] != width:
                raise InputError(
                    f"{where} has {tensor.shape[1]} numbers at {site}, {model.name} has {width} there: "
                    "use it with the model that it was made for"
                )


def check_fingerprint(found: str, name: str, model: LoadedModel, where: str, other_model: bool) -> None:
    """Raise `InputError` for vectors of another model, unless `other_model` allows it."""
    if found not in model.identity.names and not other_model:
        raise InputError(
            f"{where} was made with {name} ({found[:8]}), not with {model.name} ({model.fingerprint[:8]}): make it "
            "anew with this model, or pass other_model=True if the two share their activations"
        )


def needs_path(path: Path | None, name: str) -> Path:
    """Return the path. Raises `InputError` if there is none."""
    if path is None:
        raise InputError(f"{name} is a file: expected a path to write it to")
    return path


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file atomically: `write` gets a temporary name next to `path`, which is then renamed. Raises `InputError`
    if that fails.
    """
    try:
        with atomic_write(path) as part:
            write(part)
    except OSError as error:
        raise unwritable(path, error) from error


def check_file(path: Path) -> None:
    """Raise `InputError` if there is no readable file."""
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror or error}; check the path") from error
