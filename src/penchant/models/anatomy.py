"""Finds a model's decoder layers, attention and MLP by their structure, not by a list of families."""

from __future__ import annotations

import inspect

from torch import nn
from transformers import PreTrainedModel

from penchant.errors import ModelError


def decoder_layers(model: PreTrainedModel) -> list[nn.Module]:
    """Return the decoder layers of a causal LM or its base, in order.

    In a hybrid, some layers attend and others are recurrent. Raises `ModelError` if the model has no list of
    `num_hidden_layers` layers with attention in at least one.
    """
    count = model.config.get_text_config().num_hidden_layers
    decoder: nn.Module = model.get_decoder()  # type: ignore[no-untyped-call]
    for module in decoder.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count and any(map(_attentions, module)):
            return list(module)
    raise ModelError(
        f"{type(model).__name__} has no list of {count} decoder layers with attention: expected a decoder-only "
        "transformer that transformers' attention registry serves"
    )


def attending_layers(model: PreTrainedModel) -> list[int]:
    """Return the numbers of the layers that attend; in a hybrid, the others are recurrent. Raises as
    `decoder_layers`.
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
    # Modules that mix tokens (attention, recurrent layers) have a layer number, since they use a layer of the cache.
    others = [child for child in layer.children() if not any(hasattr(one, "layer_idx") for one in child.modules())]
    # A norm or a lone projection isn't a feed-forward block: at least two weight matrices, or experts (3-D).
    blocks = [child for child in others if _matrices(child) >= 2]
    if not blocks:
        raise ModelError(f"{type(layer).__name__} has no feed-forward module of its own")
    return max(blocks, key=lambda child: sum(parameter.numel() for parameter in child.parameters()))


def _attentions(layer: nn.Module) -> list[nn.Module]:
    return [module for module in layer.modules() if hasattr(module, "layer_idx") and _uses_registry(module)]


def _uses_registry(module: nn.Module) -> bool:
    code = getattr(inspect.unwrap(type(module).forward), "__code__", None)
    return code is not None and "ALL_ATTENTION_FUNCTIONS" in code.co_names


def _matrices(module: nn.Module) -> int:
    return sum(1 for parameter in module.parameters() if parameter.dim() >= 2)
