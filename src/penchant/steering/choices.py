"""What steering can be asked for, by name. Imports nothing, so that a command's help doesn't wait for torch."""

from __future__ import annotations

from typing import Literal

Similarity = Literal["hidden", "bm25", "dense"]
"""How samples and requests are compared: by hidden states, by words, or by a sentence encoder."""

Storage = Literal["bfloat16", "int8", "low-rank"]
"""How a bank is stored."""

PAIRS = 64
"""Most of a user's pairs that are read: the newest ones."""

RANK = 32
"""Numbers that low-rank storage keeps of each vector."""

FORMATS = {
    "safetensors": "everything, bit for bit",
    "gguf": "control vector of repeng and llama.cpp",
    "easysteer": "a request's `steering` for EasySteer",
    "vllm-hook": "a request's `vllm_xargs` for vLLM-Hook, and its vector",
}
"""Formats that vectors are exported in: name -> description."""
