"""Sites: named places in a decoder where activations are read and edited, found by structure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn
from transformers import PreTrainedModel

from penchant.errors import InputError, ModelError
from penchant.models.anatomy import attention_module, decoder_layers, mlp_module

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

    Raises `ModelError` for a missing layer, or a family without such a module.
    """
    layers = decoder_layers(model)
    if not 0 <= site.layer < len(layers):
        raise ModelError(f"site {site}: the model has layers 0 to {len(layers) - 1}; choose one of them")
    layer = layers[site.layer]
    if site.kind == "block":
        return layer
    if site.kind == "mlp":
        return mlp_module(layer)
    attention = attention_module(layer)
    return attention if site.kind == "attention" else _output_projection(model, attention)


def site_width(model: PreTrainedModel, kind: Kind) -> int:
    """Return the width of a site of this kind."""
    config = model.config.get_text_config()
    if kind != "heads":
        return int(config.hidden_size)
    return int(config.num_attention_heads * _head_dim(model))


def _head_dim(model: PreTrainedModel) -> int:
    config = model.config.get_text_config()
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _output_projection(model: PreTrainedModel, attention: nn.Module) -> nn.Module:
    """Return the last child that maps heads * head_dim to the hidden size, found by shape, since names differ by
    family.
    """
    wanted = site_width(model, "heads"), site_width(model, "block")
    fitting = [child for child in attention.children() if _shape(child) == wanted]
    if not fitting:
        raise ModelError(f"{type(attention).__name__} has no output projection of {wanted[0]} to {wanted[1]}")
    return fitting[-1]


def _shape(module: nn.Module) -> tuple[int, int] | None:
    if hasattr(module, "in_features") and hasattr(module, "out_features"):  # nn.Linear, also wrapped by LoRA
        return int(module.in_features), int(module.out_features)  # type: ignore[arg-type]
    if hasattr(module, "nx") and hasattr(module, "nf"):  # GPT-2's Conv1D
        return int(module.nx), int(module.nf)  # type: ignore[arg-type]
    return None
