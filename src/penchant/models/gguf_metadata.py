"""What a GGUF file says about its model and transformers doesn't read: it goes into the configuration, or is refused.

Keys and tensors are llama.cpp's (gguf-py's constants; llama-model.cpp for how the rotary factors are used).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from gguf import GGUFReader, GGUFValueType, dequantize
from transformers import PretrainedConfig

from penchant.errors import ModelError

log = logging.getLogger(__name__)

Factors = Mapping[str, list[float]]
"""The values of the tensors in `ROPE_TENSORS` that a file has."""
NOT_MODELS = {
    "adapter": "a LoRA adapter",
    "mmproj": "a vision or audio projector",
    "clip": "a vision or audio projector",
    "imatrix": "an importance matrix",
    "controlvector": "a control vector (see penchant.steering.formats)",
}
SAME_NAME = ("attn_logit_softcapping", "final_logit_softcapping", "logit_scale", "use_parallel_residual")
SETTINGS: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in SAME_NAME},
    "attention.sliding_window": ("sliding_window",),
    "attention.key_length": ("head_dim",),
    "attention.layer_norm_epsilon": ("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps"),
    "attention.layer_norm_rms_epsilon": ("rms_norm_eps", "norm_eps"),
    "attention.scale": ("attention_multiplier",),
    "residual_scale": ("residual_multiplier",),
    "embedding_scale": ("embedding_multiplier",),
    "expert_feed_forward_length": ("moe_intermediate_size",),
    "expert_shared_feed_forward_length": ("shared_expert_intermediate_size",),
    "vocab_size": ("vocab_size",),
}
"""Keys without the architecture, and the setting of transformers with that meaning (the first that the family has)."""
HARMLESS = {
    "tensor_data_layout", "pooling_type", "context_length", "nextn_predict_layers", "attention.causal",
    "rope.scaling.finetuned",
}  # fmt: skip
"""Keys that don't change what a causal model computes."""
SAMPLING = {
    "general.sampling.temp": "temperature",
    "general.sampling.top_k": "top_k",
    "general.sampling.top_p": "top_p",
    "general.sampling.min_p": "min_p",
    "general.sampling.penalty_repeat": "repetition_penalty",
}
"""Recommended sampling; XTC and Mirostat aren't done here."""
ROPE_TENSORS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
NEUTRAL = (0, 0.0, False, None)
PRE_TOKENIZERS = {"smollm", "gpt-2", "phi-2", "mpt", "olmo", "roberta-bpe"}
"""Rules that cut text as transformers' GPT-2 tokenizer does, or that `split_digits_like_smollm` repairs."""


def read_metadata(reader: GGUFReader) -> dict[str, Any]:
    """Return the metadata of a GGUF file; of texts and numbers in long lists only how many there are."""
    found = {}
    for key, entry in reader.fields.items():
        listed = entry.types[:1] == [GGUFValueType.ARRAY]
        strings = entry.types[-1:] == [GGUFValueType.STRING]
        found[key] = len(entry.data) if listed and (strings or len(entry.data) > _LISTED) else entry.contents()
    return found


_LISTED = 4096


def read_factors(reader: GGUFReader) -> dict[str, list[float]]:
    """Return the rotary factors of a GGUF file, by the name of their tensor."""
    return {
        tensor.name: dequantize(tensor.data, tensor.tensor_type).reshape(-1).tolist()
        for tensor in reader.tensors
        if tensor.name in ROPE_TENSORS
    }


def check_kind(name: str, metadata: Mapping[str, Any]) -> None:
    """Raise `ModelError` if a GGUF file is something else than a whole language model."""
    kind = metadata.get("general.type", "model")
    what = NOT_MODELS.get(kind) or NOT_MODELS.get(metadata.get("general.architecture", ""))
    if what is not None:
        raise ModelError(f"{name} is {what}, not a language model: pass the model's own .gguf file")
    parts = metadata.get("split.count", 1)
    if parts > 1:
        raise ModelError(
            f"{name} is one of {parts} parts of a model: join them into one file (llama-gguf-split --merge) and pass it"
        )


def complete(name: str, config: PretrainedConfig, metadata: Mapping[str, Any], factors: Factors) -> None:
    """Put what transformers left out of a GGUF's metadata into `config`, in place.

    Raises `ModelError` for what can change the answers and has no place in the configuration.
    """
    architecture = str(metadata["general.architecture"])
    prefix = f"{architecture}."
    given = {key.removeprefix(prefix): value for key, value in metadata.items() if key.startswith(prefix)}
    left = {key: value for key, value in given.items() if key not in _read(architecture, metadata)}
    _rope(name, config, given, left, factors)
    unknown = {}
    for key, value in left.items():
        if key in HARMLESS or _applied(config, key, value):
            continue
        unknown[key] = value
    if unknown:
        first = next(iter(unknown))
        raise ModelError(
            f"{name} sets {prefix}{first} = {unknown[first]!r}, which transformers' {config.model_type} doesn't read"
            f"{f' (and {len(unknown) - 1} more)' if len(unknown) > 1 else ''}: its answers would be wrong; "
            "use the model's original directory"
        )


def _read(architecture: str, metadata: Mapping[str, Any]) -> set[str]:
    """Return the keys, without the architecture, that transformers puts into its configuration."""
    builders: dict[str, Any] = {}
    with contextlib.suppress(ImportError):  # a release of transformers that reads all families in the old way
        builders = import_module("transformers.integrations.gguf").GGUF_CONFIG_ARCHS
    prefix = f"{architecture}."
    if architecture in builders:
        seen = _Recording(metadata)
        builders[architecture](seen, ())
        return {key.removeprefix(prefix) for key in seen.used}
    settings: dict[str, dict[str, Any]] = import_module("transformers.integrations").GGUF_CONFIG_MAPPING
    mapped = settings.get(_OTHER_NAMES.get(architecture, architecture), {})
    return {key for key, setting in mapped.items() if setting not in (None, -1)}


_OTHER_NAMES = {"qwen2moe": "qwen2_moe", "qwen3moe": "qwen3_moe", "gpt-oss": "gpt_oss", "minimax-m2": "minimax_m2"}


class _Recording(dict[str, Any]):
    """Metadata that knows which keys were looked up."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        super().__init__(metadata)
        self.used: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.used.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.used.add(key)
        return super().get(key, default)


def _applied(config: PretrainedConfig, key: str, value: Any) -> bool:
    """Whether a setting is in the configuration, which is changed if need be."""
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    if key == "attention.value_length" or (key == "attention.key_length" and not hasattr(config, "head_dim")):
        return bool(value == head)
    if key == "attention.scale" and not hasattr(config, "attention_multiplier"):
        scale = getattr(config, "query_pre_attn_scalar", head) ** -0.5
        return value in NEUTRAL or abs(value - scale) < 1e-6
    for setting in SETTINGS.get(key, ()):
        if hasattr(config, setting):
            setattr(config, setting, value)
            return True
    return value in NEUTRAL or (key.endswith("_scale") and value == 1)


def _rope(
    name: str, config: PretrainedConfig, given: Mapping[str, Any], left: dict[str, Any], factors: Factors
) -> None:
    """Set base and scaling of the rotary embedding; removes what is accounted for from `left`. Raises `ModelError` for
    a scaling that transformers doesn't have.
    """
    rope: dict[str, Any] = {
        key: dict(value) if isinstance(value, dict) else value
        for key, value in (getattr(config, "rope_parameters", None) or {}).items()
    }
    full = rope.get("full_attention", rope)  # some families have one set for each kind of layer
    for key, of_kind in (("rope.freq_base", full), ("rope.freq_base_swa", rope.get("sliding_attention"))):
        if key in left and of_kind:
            of_kind["rope_theta"] = left.pop(key)
    head = given.get("attention.key_length") or getattr(config, "head_dim", None)
    head = head or config.hidden_size // config.num_attention_heads
    share = full.get("partial_rotary_factor") or getattr(config, "partial_rotary_factor", None) or 1.0
    for key in ("rope.dimension_count", "rope.dimension_count_swa"):
        if left.get(key) == int(head * share):
            del left[key]
    scaling = {
        key.removeprefix("rope.scaling."): left.pop(key) for key in list(left) if key.startswith("rope.scaling.")
    }
    if "gpt_oss" not in config.model_type:  # transformers reads that of gpt-oss itself
        added = _scaling(config, scaling, factors)
        if added is None:
            what = ", ".join([*(f"{key} {value}" for key, value in scaling.items()), *factors])
            raise ModelError(
                f"{name} scales its rotary embedding in a way that transformers doesn't have ({what}): "
                "use the model's original directory"
            )
        full.update(added)
    if full:
        config.rope_parameters = rope


def _scaling(config: PretrainedConfig, scaling: Mapping[str, Any], factors: Factors) -> dict[str, Any] | None:
    """Return the scaling as transformers writes it, {} for none; None if there is no equivalent."""
    kind, factor = scaling.get("type", "none"), scaling.get("factor") or 1.0
    original = scaling.get("original_context_length") or config.max_position_embeddings
    whole = factors.get("rope_freqs.weight")
    short, long = factors.get("rope_factors_short.weight", whole), factors.get("rope_factors_long.weight", whole)
    if short is not None and long is not None:
        if kind not in ("none", "longrope") or (factor != 1 and whole is not None):
            return None
        # Not as "llama3", whose constants a file doesn't hold: the factors themselves, the same at every length.
        attention = scaling.get("attn_factor") or (1.0 if whole is not None else None)
        return {
            "rope_type": "longrope",
            "short_factor": short,
            "long_factor": long,
            "factor": config.max_position_embeddings / original,
            "attention_factor": attention,
            "original_max_position_embeddings": original,
        }
    known = {"type", "factor", "original_context_length", "finetuned"}
    if factors or kind not in ("none", "linear", "yarn") or not known.issuperset(scaling):
        return None
    if factor == 1 or kind == "none":
        return {}
    more = {"original_max_position_embeddings": original} if kind == "yarn" else {}
    return {"rope_type": kind, "factor": factor, **more}


def read_sampling(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sampling that a GGUF file recommends, in the words of transformers' generation settings; empty if it
    recommends none. A temperature of 0 or less takes the likeliest token, as in llama.cpp.
    """
    given = {name: metadata[key] for key, name in SAMPLING.items() if key in metadata}
    if given.get("temperature", 1.0) > 0:
        return {**given, "do_sample": True} if given else {}
    return {name: value for name, value in given.items() if name == "repetition_penalty"} | {"do_sample": False}


def name_the_rest(name: str, metadata: Mapping[str, Any]) -> None:
    """Log what isn't read and matters little: ways of sampling that aren't done here, and a rule for cutting text that
    transformers doesn't know.
    """
    for key in ("general.sampling.xtc_probability", "general.sampling.mirostat"):
        if metadata.get(key) not in NEUTRAL:
            log.warning("%s recommends %s: it isn't applied, as this way of sampling isn't done here", name, key)
    rule = metadata.get("tokenizer.ggml.pre")
    if metadata.get("tokenizer.ggml.model") != "gpt2" or rule in PRE_TOKENIZERS or rule is None:
        return
    known: Any = ()
    with contextlib.suppress(ImportError, AttributeError):  # another transformers may keep its rules elsewhere
        known = import_module("transformers.integrations.gguf.gguf_tokenizer_mapping").GGUF_PRE_TOKENIZER_SPLITS
    if rule not in known:
        log.warning("%s cuts text by the rule %r, unknown to transformers: it is cut as for GPT-2", name, rule)
