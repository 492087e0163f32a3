"""Where a model keeps its decoder layers, its attention and its MLP: found by structure, not by a list of families."""

from __future__ import annotations

import inspect

from torch import nn
from transformers import PreTrainedModel

from penchant.errors import ModelError


def decoder_layers(model: PreTrainedModel) -> list[nn.Module]:
    """The decoder layers in order, of a causal LM or of its base.

    Of a hybrid, some of them attend and others are recurrent. Raises `ModelError` when the model has no list of
    `num_hidden_layers` layers of which any attends.
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
    """Numbers of the layers that attend; of a hybrid the others are recurrent. Raises as `decoder_layers`."""
    return [i for i, layer in enumerate(decoder_layers(model)) if _attentions(layer)]


def attention_module(layer: nn.Module) -> nn.Module:
    """The module of a decoder layer whose forward calls transformers' attention registry.

    It is the one the registry's functions are given as their first argument, and it has `layer_idx`.
    Raises `ModelError` when the layer has none.
    """
    found = _attentions(layer)
    if not found:
        raise ModelError(f"{type(layer).__name__} has no attention that goes through transformers' attention registry")
    return found[0]


def mlp_module(layer: nn.Module) -> nn.Module:
    """The feed-forward module of a decoder layer: the largest direct child that doesn't mix tokens.

    Raises `ModelError` when the layer has none (families that keep its matrices in the layer itself).
    """
    # What mixes tokens, attention or a recurrent layer, is numbered, since it has a layer of the cache.
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
