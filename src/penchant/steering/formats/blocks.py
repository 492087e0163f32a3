"""Converts vectors at any site to vectors after whole layers, the only ones that most other tools can add."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from penchant.errors import InputError
from penchant.inference.forward import hidden_states
from penchant.inference.intervention import Intervention
from penchant.inference.recurrence import check_readable
from penchant.inference.sites import Site
from penchant.models.anatomy import attention_module, decoder_layers, mlp_module
from penchant.models.loading import LoadedModel
from penchant.steering.formats.exported import Vector, added_vectors

TOLERANCE = 1e-9
"""Tolerance relative to a vector's length, in float64: equivalent additions differ by about 1e-16."""


@dataclass(frozen=True)
class Blocks:
    """The result of a conversion. vectors: layer -> vector added after it. notes: which of them aren't exact."""

    vectors: dict[int, Vector]
    notes: tuple[str, ...] = ()


def block_vectors(intervention: Intervention, model: LoadedModel | None, approximate: bool, peer: str) -> Blocks:
    """Convert an intervention of one row to block sites only.

    Exact for block sites, and for each attention or MLP site where `same_as_block` holds (MLP sites of layers without a
    norm after the MLP; attention sites of layers whose attention and MLP run in parallel). With `approximate`, others
    are added after their layer: correct in the residual stream from the next layer on, but not seen by this layer's MLP
    (or its norm). Raises `InputError` otherwise, and for head sites and scales.
    """
    vectors: dict[int, Vector] = {}
    notes = []
    for site, vector in added_vectors(intervention, peer).items():
        if site.kind == "heads":
            raise InputError(f"{peer} can't write at {site}: it adds behind whole layers; export it as safetensors")
        if site.kind != "block":
            if model is None and not approximate:
                raise InputError(
                    f"{peer} adds behind whole layers: whether {site} can be moved there depends on the model; "
                    "pass model=..., or approximate=True"
                )
            if model is None or not same_as_block(model, site):
                if not approximate:
                    raise InputError(
                        f"{peer} adds behind whole layers, and in {model.name if model else 'this model'} {site} isn't "
                        "the same; pass approximate=True to add it there all the same"
                    )
                notes.append(f"{site} is added behind layer {site.layer} instead" + ("" if model else " (unchecked)"))
        vectors[site.layer] = vectors[site.layer] + vector if site.layer in vectors else vector
    return Blocks(dict(sorted(vectors.items())), tuple(notes))


@torch.no_grad()
def same_as_block(model: LoadedModel, site: Site) -> bool:
    """Whether a vector added at an attention or MLP site is the same vector after the layer.

    Measured, not looked up: the layer runs alone, in float64 on the CPU, on the states of eight tokens, with and
    without a random vector of their length. Costs one forward pass and a copy of one layer.
    """
    layers = decoder_layers(model.model)
    if not 0 <= site.layer < len(layers):
        raise InputError(f"site {site}: {model.name} has layers 0 to {len(layers) - 1}")
    args, kwargs = _inputs(model, layers[site.layer])
    layer = copy.deepcopy(layers[site.layer]).to("cpu", torch.float64)
    module = mlp_module(layer) if site.kind == "mlp" else attention_module(layer)
    states: Tensor = args[0] if args else kwargs["hidden_states"]
    vector = torch.randn(states.shape[-1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    vector *= states.norm(dim=-1).mean() / vector.norm()

    def add(module: nn.Module, args: object, output: Any) -> Any:
        return (output[0] + vector, *output[1:]) if isinstance(output, tuple) else output + vector

    plain = _states(layer(*args, **kwargs))
    handle = module.register_forward_hook(add)
    moved = _states(layer(*args, **kwargs))
    handle.remove()
    return bool(((moved - plain - vector).norm(dim=-1) <= TOLERANCE * vector.norm()).all())


def _inputs(model: LoadedModel, layer: nn.Module) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of the layer in a forward pass over eight tokens, in float64 on the CPU."""
    check_readable(model, 8, None, None)  # now, since its own passes would be recorded
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    handle = layer.register_forward_pre_hook(
        lambda module, args, kwargs: calls.append((args, kwargs)), with_kwargs=True
    )
    try:
        hidden_states(model, torch.arange(1, 9)[None])
    finally:
        handle.remove()
    args, kwargs = calls[0]
    return tuple(_double(value) for value in args), {name: _double(value) for name, value in kwargs.items()}


def _double(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_double(part) for part in value)
    if isinstance(value, Tensor):
        return value.to("cpu", torch.float64) if value.is_floating_point() else value.cpu()
    return value


def _states(output: Any) -> Tensor:
    states: Tensor = output[0] if isinstance(output, tuple) else output
    return states
