"""Model fingerprints: the hash that indexes, banks and calibrations are keyed by.

It covers whatever changes the logits: every weight, the adapters in use with their scales, and the settings. Those in
CONFIG_KEYS are hashed as they are. If a config sets anything else, a probe pass is hashed too, which shows whether it
matters (`models.settings_probe`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import torch
from cachetools import LRUCache
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from penchant.models.adapters import Uses, adapters_digest, adapters_in_use, base_name, name_without_adapter
from penchant.models.settings import far_settings, setting, unlisted_settings
from penchant.models.settings_probe import settings_probe

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


class ModelIdentity:
    """Which model this is, as its adapters are set at the moment.

    A fingerprint is the SHA-256 (hex) of everything that determines what a model computes: settings, every weight
    tensor, the adapters in use, and how its tokenizer cuts text. For each parameter: name, shape, evenly spaced values,
    and the exact sum of the bit patterns of all values, so that any changed value (a merged LoRA, one more training
    step) gives another fingerprint. Values are rounded to bfloat16 first: the same checkpoint loaded in float32 and in
    bfloat16 has the same fingerprint, and in float16 too if its values are exact there (as in Penchant's cache).
    Independent of device, path and release of transformers. Reads the weights once.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self._model = model
        self.earlier = network_fingerprint(model, model.config, *_cutting(tokenizer), named=base_name(model))
        """What earlier versions of Penchant called the model without adapters: the settings that CONFIG_KEYS doesn't
        list had no part in it.
        """
        settings = _settings(model)
        self.base = _joined(self.earlier, settings) if settings else self.earlier
        """The fingerprint without adapters. Weights that change later don't change it: wrap the model again."""
        self._known: LRUCache[Uses, str] = LRUCache(16)

    @property
    def current(self) -> str:
        """The fingerprint with the adapters in use, which changes when one is switched, rescaled or trained on; `base`
        if none is.
        """
        uses = adapters_in_use(self._model)
        if not uses:
            return self.base
        found = self._known.get(uses)
        if found is None:
            probed = settings_probe(self._model, name_without_adapter(self._model))
            digest = adapters_digest(self._model, uses, _tensor_digest)
            found = self._known[uses] = _joined(self.base, digest, probed or "not probed")
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """The fingerprints under which files of this model may be found: the current one, and for a model without
        adapters in use the one of earlier versions.
        """
        current = self.current
        return (current, self.earlier) if current == self.base != self.earlier else (current,)


def model_fingerprint(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the fingerprint of a model as it is now; see `ModelIdentity`."""
    return ModelIdentity(model, tokenizer).current


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the SHA-256 (hex) of how a tokenizer cuts a sample of text, and of its number of tokens. Fast."""
    return hashlib.sha256("".join(_cutting(tokenizer)).encode()).hexdigest()


def _cutting(tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    return json.dumps(tokenizer(PROBE)["input_ids"]), str(len(tokenizer))


def _settings(model: PreTrainedModel) -> str:
    """The settings that CONFIG_KEYS doesn't list; "" for a model that has them all at their defaults, which is most."""
    found = unlisted_settings(model.config.get_text_config(), CONFIG_KEYS)
    if not found:
        return ""
    probed = settings_probe(model, base_name(model), adapters=False)
    return json.dumps(found if probed is None else [probed, far_settings(found)], sort_keys=True, default=str)


def _joined(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


def network_fingerprint(
    network: nn.Module, config: PreTrainedConfig, *facts: str, named: Callable[[str], str | None] = str
) -> str:
    """Return the SHA-256 (hex) of a config, other distinguishing data, and every weight tensor; see `ModelIdentity`.

    named: from a parameter's name to the hashed one; None leaves the parameter out.
    """
    digest = hashlib.sha256()
    for fact in (json.dumps(_config_facts(config), sort_keys=True), *facts):
        digest.update(fact.encode())
    for name, parameter in network.named_parameters():
        if (hashed := named(name)) is not None:
            digest.update(f"{hashed}{tuple(parameter.shape)}".encode())
            digest.update(_tensor_digest(parameter.detach()))
    return digest.hexdigest()


def _config_facts(config: PreTrainedConfig) -> dict[str, Any]:
    text = config.get_text_config()
    facts = {key: setting(text, key) for key in CONFIG_KEYS}
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
