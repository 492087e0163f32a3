"""Model fingerprints: the hash that indexes and calibrations are keyed by."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

SAMPLE = 1024
"""Values taken from each tensor, evenly spread."""

# Settings that change a forward pass but don't show in the weights. A fixed list, not all of the config: a new release
# of transformers adds keys and defaults, which must not make every stored index stale.
CONFIG_KEYS = (
    "model_type",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "hidden_activation",
    "rms_norm_eps",
    "layer_norm_eps",
    "sliding_window",
    "layer_types",
    "query_pre_attn_scalar",
    "attn_logit_softcapping",
    "use_parallel_residual",
)

PROBE = "Añ 12 Tests,  don't\n\tпривет 你好 🙂 <|im_start|>user"


def model_fingerprint(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the SHA-256 (hex) of everything that determines what a model computes: its config, every weight tensor,
    and how its tokenizer cuts text.

    For each parameter: name, shape, evenly spaced values, and the exact sum of the bit patterns of all values, so that
    any changed value (a merged LoRA, one more training step) gives another fingerprint. Values are rounded to bfloat16
    first: the same checkpoint loaded in float32 and in bfloat16 has the same fingerprint, and in float16 too if its
    values are exact there (as in Penchant's cache). Independent of device, path and release of transformers. Reads the
    weights once.
    """
    return network_fingerprint(model, model.config, *_cutting(tokenizer))


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the SHA-256 (hex) of how a tokenizer cuts a sample of text, and of its number of tokens. Fast."""
    return hashlib.sha256("".join(_cutting(tokenizer)).encode()).hexdigest()


def _cutting(tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    return json.dumps(tokenizer(PROBE)["input_ids"]), str(len(tokenizer))


def network_fingerprint(network: nn.Module, config: PretrainedConfig, *facts: str) -> str:
    """Return the SHA-256 (hex) of a config, other distinguishing data, and every weight tensor; see
    `model_fingerprint`.
    """
    digest = hashlib.sha256()
    for fact in (json.dumps(_config_facts(config), sort_keys=True), *facts):
        digest.update(fact.encode())
    for name, parameter in network.named_parameters():
        digest.update(f"{name}{tuple(parameter.shape)}".encode())
        digest.update(_tensor_digest(parameter.detach()))
    return digest.hexdigest()


def _config_facts(config: PretrainedConfig) -> dict[str, Any]:
    text = config.get_text_config()
    facts = {key: getattr(text, key, None) for key in CONFIG_KEYS}
    facts["rope"] = getattr(text, "rope_parameters", None)
    return json.loads(json.dumps(facts, default=str))  # type: ignore[no-any-return]


def _tensor_digest(tensor: torch.Tensor) -> bytes:
    # Integer sums of the bit patterns are exact: they don't depend on order, thread count or device.
    flat = tensor.reshape(-1)
    total = 0
    for block in torch.split(flat, 1 << 24):  # limits the size of the rounded copy
        bits = block.to(torch.bfloat16)
        if bits.numel() % 2 or bits.storage_offset() % 2:
            bits = torch.cat([bits, bits.new_zeros(bits.numel() % 2)])
        total += int(bits.view(torch.int32).sum(dtype=torch.int64))  # two values per word: half the additions
    picked = flat[:: max(1, flat.numel() // SAMPLE)].to(torch.bfloat16).view(torch.int16)
    return str(total).encode() + picked.cpu().numpy().tobytes()
