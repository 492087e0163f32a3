"""The settings in a model's config: reading one of any family, and finding those that aren't at their defaults."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from transformers import PreTrainedConfig

from penchant.models.settings_probe import TOKENS

# Sizes, which show in the weights, and what no forward pass reads. A name that is missing here costs a probe pass.
_NEUTRAL = {
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "tie_word_embeddings",
    "rope_parameters",
    "rope_theta",
    "initializer_range",
    "use_cache",
    "architectures",
    "dtype",
    "torch_dtype",
    "transformers_version",
    "return_dict",
    "id2label",
    "label2id",
    "problem_type",
}
_NEUTRAL_PARTS = ("_", "output_")
_NEUTRAL_ENDS = ("_token_id", "_dropout", "_pdrop", "dropout_rate")


def setting(config: PreTrainedConfig, key: str) -> Any:
    """Return a setting, None if there is none; a list of every layer's where layers differ (Gemma 4's width of heads,
    which raises a RuntimeError when it is read as an attribute).
    """
    try:
        return getattr(config, key, None)
    except RuntimeError:
        return [getattr(layer, key, None) for layer in config.per_layer_config]


def unlisted_settings(config: PreTrainedConfig, listed: Collection[str]) -> dict[str, Any]:
    """Return the settings outside of `listed` that may change a forward pass and aren't at the family's defaults."""
    try:
        default = type(config)().to_dict()
    except (TypeError, ValueError):  # a family without defaults
        default = {}
    neutral = {*_NEUTRAL, *listed}
    rope = getattr(config, "rope_parameters", None) or {}
    if all(one in (None, "default") for one in (rope.get("rope_type"), *_inner_types(rope))):
        neutral.add("max_position_embeddings")  # some rotations depend on it
    return {
        key: value
        for key, value in config.to_dict().items()
        if value != default.get(key)
        and config.attribute_map.get(key, key) not in neutral
        and not key.startswith(_NEUTRAL_PARTS)
        and not key.endswith(_NEUTRAL_ENDS)
    }


def far_settings(settings: Mapping[str, Any]) -> dict[str, int]:
    """Return those of the settings that may be distances which a probe pass is too short to show."""
    return {
        key: value
        for key, value in settings.items()
        if isinstance(value, int) and not isinstance(value, bool) and value >= TOKENS
    }


def _inner_types(rope: Mapping[str, Any]) -> list[Any]:
    """The types of rotation where kinds of layers have one each (Gemma 3)."""
    return [one.get("rope_type") for one in rope.values() if isinstance(one, Mapping)]
