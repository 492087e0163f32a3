"""Tiny random models of several decoder families, see `penchant_lab.families`.

`tiny("qwen3")` is a `LoadedModel`; `save_tiny("qwen3", path)` writes a directory that `load_model` reads.
"""

from __future__ import annotations

from pathlib import Path

from penchant_lab.families.sizes import SLIDING, WINDOW
from penchant_lab.families.tiny import (
    END,
    PAD,
    ROLE_TOKENS,
    TEMPLATE,
    TURN_END,
    tiny,
    tiny_config,
    tiny_network,
    tiny_tokenizer,
)

__all__ = [
    "END",
    "FAMILIES",
    "HYBRIDS",
    "PAD",
    "ROLE_TOKENS",
    "SLIDING",
    "TEMPLATE",
    "TURN_END",
    "WINDOW",
    "save_tiny",
    "tiny",
    "tiny_config",
    "tiny_network",
    "tiny_tokenizer",
]

FAMILIES = ("llama", "qwen3", "gemma3", "phi3", "gpt_neox", "mistral")
"""The families that every reading of a model is tested on."""

HYBRIDS = (
    "bamba",
    "lfm2",
    "qwen3_next",
    "granitemoehybrid",
    "falcon_h1",
    "jamba",
    "zamba2",
    "recurrent_gemma",
)
"""Families with recurrent layers among those that attend; falcon_h1 and zamba2 have both in one layer."""


def save_tiny(family: str, path: Path, seed: int = 0, layers: int = 4, chat: bool = True) -> Path:
    """Write a tiny model as a directory in Hugging Face layout; gives `path` back."""
    tiny_network(family, seed, layers=layers).save_pretrained(path)
    tiny_tokenizer(chat).save_pretrained(path)
    return path
