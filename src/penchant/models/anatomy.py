"""Finds a model's decoder layers, attention and MLP by their structure, not by a list of families."""

from __future__ import annotations

import inspect
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn
from transformers import PreTrainedModel

from penchant.errors import ModelError

_MIXING = frozenset({"attention_mask", "past_key_values", "cache_params", "position_ids", "cache_position"})
"""What the forward pass of a module takes if it mixes tokens."""


def decoder_of(model: PreTrainedModel) -> nn.Module:
    """Return the decoder without the LM head: input ids in, last hidden states out.

    That is `get_decoder`, except for families where it gives the whole language model, whose output are logits (Llama
    4).
    """
    decoder: nn.Module = model.get_decoder()  # type: ignore[no-untyped-call]
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    while head is not None and any(module is head for module in decoder.modules()):
        inner = [child for child in decoder.children() if isinstance(child, PreTrainedModel)]
        if not inner:
            break
        decoder = inner[0]
    return decoder


def decoder_layers(model: PreTrainedModel) -> list[nn.Module]:
    """Return the decoder layers of a causal LM or its base, in order.

    In a hybrid, some layers attend and others are recurrent; a state space model has recurrent layers only. Raises
    `ModelError` if the model has no list of `num_hidden_layers` layers that mix tokens.
    """
    count = model.config.get_text_config().num_hidden_layers
    for module in decoder_of(model).modules():
        if isinstance(module, nn.ModuleList) and len(module) == count and any(map(_mixes_inside, module)):
            return list(module)
    raise ModelError(f"{type(model).__name__} has no list of {count} decoder layers: expected a decoder-only model")


def attending_layers(model: PreTrainedModel) -> list[int]:
    """Return the numbers of the layers that attend through transformers' attention registry: of all layers, or of some
    in a hybrid; none if there is no such attention. Raises as `decoder_layers`.
    """
    return [i for i, layer in enumerate(decoder_layers(model)) if _attentions(layer)]


def attention_module(layer: nn.Module) -> nn.Module:
    """Return the module of a decoder layer whose forward calls transformers' attention registry.

    The registry's functions get it as their first argument, and it has `layer_idx`. Raises `ModelError` if the layer
    has none.
    """
    found = _attentions(layer)
    if not found:
        raise ModelError(f"{type(layer).__name__} has no attention that goes through transformers' attention registry")
    return found[0]


def mlp_module(layer: nn.Module) -> nn.Module:
    """Return the feed-forward module of a decoder layer: the largest direct child that doesn't mix tokens.

    Raises `ModelError` if the layer has none (some families keep its matrices in the layer itself).
    """
    others = [child for child in layer.children() if not _mixes_inside(child)]
    # A norm or a lone projection isn't a feed-forward block: at least two weight matrices, or experts (3-D).
    blocks = [child for child in others if _matrices(child) >= 2]
    if not blocks:
        raise ModelError(f"{type(layer).__name__} has no feed-forward module of its own")
    return max(blocks, key=lambda child: sum(parameter.numel() for parameter in child.parameters()))


def takes(module: nn.Module, name: str) -> bool:
    """Whether the forward pass of a module has a parameter of this name."""
    forward = getattr(module.forward, "__func__", module.forward)
    if forward not in _signatures:  # reading a signature costs hundreds of calls, and every new token asks
        _signatures[forward] = frozenset(inspect.signature(forward).parameters)
    return name in _signatures[forward]


_signatures: WeakKeyDictionary[Any, frozenset[str]] = WeakKeyDictionary()


def _mixes_inside(module: nn.Module) -> bool:
    return any(takes(one, name) for one in module.modules() for name in _MIXING)


def _attentions(layer: nn.Module) -> list[nn.Module]:
    return [module for module in layer.modules() if hasattr(module, "layer_idx") and _uses_registry(module)]


def _uses_registry(module: nn.Module) -> bool:
    code = getattr(inspect.unwrap(type(module).forward), "__code__", None)
    return code is not None and "ALL_ATTENTION_FUNCTIONS" in code.co_names


def _matrices(module: nn.Module) -> int:
    return sum(1 for parameter in module.parameters() if parameter.dim() >= 2)
