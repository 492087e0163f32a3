"""The sizes of tiny models, and configurations of them under the names that transformers has for those sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transformers import PreTrainedConfig

VOCABULARY = 380
PAD_ID, END_ID = 0, 1
WINDOW = 512
SLIDING = 8


def common_settings(layers: int) -> dict[str, Any]:
    """Sizes and tokens under the names that most families have for them."""
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": layers,
        "max_position_embeddings": WINDOW,
        "initializer_range": 0.2,
        "pad_token_id": PAD_ID,
        "eos_token_id": END_ID,
        "bos_token_id": None,
    }


def attention_heads(heads: int = 4, kv_heads: int = 2) -> dict[str, Any]:
    return {"num_attention_heads": heads, "num_key_value_heads": kv_heads}


def plain(config: Any, **options: Any) -> Callable[[int], PreTrainedConfig]:
    """Full attention in every layer."""
    return lambda layers: config(**{**common_settings(layers), **attention_heads(), **options})


def alternating(layers: int, first: str, second: str = "full_attention") -> list[str]:
    """The kind of each layer: two in turn."""
    return [second if i % 2 else first for i in range(layers)]


def mixed(config: Any, first: str, **options: Any) -> Callable[[int], PreTrainedConfig]:
    """Layers of one kind in turn with full attention."""
    return lambda layers: config(
        **{**common_settings(layers), **attention_heads(), "layer_types": alternating(layers, first), **options}
    )


def sliding(config: Any, **options: Any) -> Callable[[int], PreTrainedConfig]:
    """Layers with a sliding window in turn with full attention."""
    return mixed(config, "sliding_attention", sliding_window=SLIDING, **options)


def named_as_gpt2(config: Any, **options: Any) -> Callable[[int], PreTrainedConfig]:
    """Configurations with GPT-2's names."""
    same = {"vocab_size": VOCABULARY, "pad_token_id": PAD_ID, "eos_token_id": END_ID, "bos_token_id": None}
    sizes = {"n_embd": 64, "n_head": 4, "n_positions": WINDOW, "initializer_range": 0.2}
    return lambda layers: config(**{**same, **sizes, "n_layer": layers, **options})
