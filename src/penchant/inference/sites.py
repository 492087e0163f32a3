"""Sites: named places in a decoder where activations are read and edited, found by structure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn
from transformers import PreTrainedModel

from penchant.errors import InputError, ModelError
from penchant.models.anatomy import attending_layers, attention_module, decoder_layers, mlp_module

Kind = Literal["attention", "mlp", "block", "heads"]
"""attention, mlp: the module's output, which the layer adds to the residual stream; families that normalise it first
(Gemma 3's norms behind attention and MLP) do so after the site. block: the residual stream behind the layer.
heads: the outputs of all heads side by side, [heads * head_dim], before the output projection mixes them."""


@dataclass(frozen=True, order=True)
class Site:
    """A place in the forward pass, written as "15.attention". Layers count from 0."""

    layer: int
    kind: Kind

    def __str__(self) -> str:
        return f"{self.layer}.{self.kind}"

    @classmethod
    def parse(cls, text: str) -> Site:
        """Parse a site such as "15.attention". Raises `InputError`."""
        match = re.fullmatch(r"([0-9]{1,6})\.(\w+)", text.strip())
        if not match or match[2] not in get_args(Kind):
            raise InputError(f"site {text!r}: expected a layer and one of {', '.join(get_args(Kind))}: 15.attention")
        return cls(int(match[1]), match[2])  # type: ignore[arg-type]  # checked by the line above


def site_module(model: PreTrainedModel, site: Site) -> nn.Module:
    """Return the module whose output is the site, or for "heads", whose input is: the output projection.

    Raises `ModelError` for a missing layer, a layer without such a module (in a hybrid, those that don't attend), or
    one that shares it with another layer (Zamba2).
    """
    layers = decoder_layers(model)
    if not 0 <= site.layer < len(layers):
        raise ModelError(f"site {site}: the model has layers 0 to {len(layers) - 1}; choose one of them")
    layer = layers[site.layer]
    if site.kind == "block":
        return layer
    found = mlp_module(layer) if site.kind == "mlp" else attention_module(layer)
    if any(other is not layer and found in set(other.modules()) for other in layers):
        raise ModelError(f"site {site}: other layers share its {type(found).__name__}; steer a block site instead")
    return _output_projection(model, found) if site.kind == "heads" else found


def has_site(model: PreTrainedModel, site: Site) -> bool:
    """Whether the model has a module for this site."""
    try:
        site_module(model, site)
    except ModelError:
        return False
    return True


def nearest_layers(model: PreTrainedModel, kinds: Sequence[Kind], wanted: Iterable[int]) -> list[int]:
    """Return, for each layer wanted, the nearest one with sites of all `kinds`, ascending and each once: in a hybrid,
    layers that don't attend are passed over.

    Raises `ModelError` if no layer has them.
    """
    layers = range(len(decoder_layers(model)))
    able = [layer for layer in layers if all(has_site(model, Site(layer, kind)) for kind in kinds)]
    if not able:
        raise ModelError(
            f"{type(model).__name__} has no layer with sites of {' and '.join(kinds)}: expected a method that "
            "writes at other sites"
        )
    return sorted({min(able, key=lambda layer: (abs(layer - one), layer)) for one in wanted})


def site_width(model: PreTrainedModel, kind: Kind, layer: int | None = None) -> int:
    """Return the width of a site of this kind; for "heads" that of a layer (None: the first that attends), since layers
    may differ in it.
    """
    if kind != "heads":
        return int(model.config.get_text_config().hidden_size)
    layers = decoder_layers(model)
    number = attending_layers(model)[0] if layer is None else layer
    shape = _shape(_output_projection(model, attention_module(layers[number])))
    return shape[0] if shape else 0


def _output_projection(model: PreTrainedModel, attention: nn.Module) -> nn.Module:
    """Return the last child that maps all heads side by side to the hidden size, found by shape, since names and widths
    of heads differ by family.
    """
    config = model.config.get_text_config()
    heads, hidden = int(config.num_attention_heads), int(config.hidden_size)
    shapes = [(child, _shape(child)) for child in attention.children()]
    fitting = [child for child, shape in shapes if shape and shape[1] == hidden and shape[0] % heads == 0]
    if not fitting:
        raise ModelError(f"{type(attention).__name__} has no output projection of {heads} heads to {hidden}")
    return fitting[-1]


def _shape(module: nn.Module) -> tuple[int, int] | None:
    if hasattr(module, "in_features") and hasattr(module, "out_features"):  # nn.Linear, also wrapped by LoRA
        return int(module.in_features), int(module.out_features)  # type: ignore[arg-type]
    if hasattr(module, "nx") and hasattr(module, "nf"):  # GPT-2's Conv1D
        return int(module.nx), int(module.nf)  # type: ignore[arg-type]
    return None
