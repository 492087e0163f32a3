"""Tiny random models of several decoder families, and one small real tokenizer, built in code.

`tiny("qwen3")` is a `LoadedModel`; `save_tiny("qwen3", path)` writes a directory that `load_model` reads. Weights are
spread widely enough (initializer_range 0.2, norms and biases shaken) that attention is far from uniform and a
forgotten norm or bias shows.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    BambaConfig,
    FalconH1Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    GraniteMoeHybridConfig,
    JambaConfig,
    Lfm2Config,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3NextConfig,
    RecurrentGemmaConfig,
    Zamba2Config,
)

from penchant.models.loading import LoadedModel, wrap_model

PAD, END, TURN_END = "<|pad|>", "<|end|>", "<|turn_end|>"
ROLE_TOKENS = ("<|system|>", "<|user|>", "<|assistant|>")
WINDOW = 512
SLIDING = 8
"""Window of the sliding-attention families: shorter than any sensible test text."""

TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}" + TURN_END + "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

SAMPLE_TEXT = [
    "I am allergic to peanuts and I like long walks by the sea.",
    "The meeting is on Tuesday at ten, please bring the report.",
    "What should I read next? Something short, and not too sad.",
    "She wrote three letters about the film and the cooking.",
]


@cache
def _backend() -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=380,
        special_tokens=[PAD, END, TURN_END, *ROLE_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SAMPLE_TEXT, trainer)
    return tokenizer.to_str()


def tiny_tokenizer(chat: bool = True) -> PreTrainedTokenizerFast:
    """Byte-level BPE: any text round-trips. No token is put in front of a text. `chat=False`: no chat template."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_backend()),
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[TURN_END, *ROLE_TOKENS],
        model_max_length=WINDOW,
        clean_up_tokenization_spaces=False,
    )
    if chat:
        tokenizer.chat_template = TEMPLATE
    return tokenizer


def _common(layers: int) -> dict[str, Any]:
    tokenizer = tiny_tokenizer()
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": layers,
        "max_position_embeddings": WINDOW,
        "initializer_range": 0.2,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
    }


def _gqa(heads: int = 4, kv_heads: int = 2) -> dict[str, Any]:
    return {"num_attention_heads": heads, "num_key_value_heads": kv_heads}


def _gpt2(layers: int) -> GPT2Config:
    common = _common(layers)
    keep = ("vocab_size", "initializer_range", "pad_token_id", "eos_token_id", "bos_token_id")
    return GPT2Config(n_embd=64, n_head=4, n_layer=layers, n_positions=WINDOW, **{key: common[key] for key in keep})


CONFIGS: dict[str, Any] = {
    "llama": lambda n: LlamaConfig(**_common(n), **_gqa(), tie_word_embeddings=True),
    "qwen3": lambda n: Qwen3Config(**_common(n), **_gqa(), head_dim=32),
    "gemma3": lambda n: Gemma3TextConfig(
        **_common(n),
        **_gqa(kv_heads=1),
        head_dim=32,
        query_pre_attn_scalar=32,
        sliding_window=SLIDING,
        layer_types=["full_attention" if i % 2 else "sliding_attention" for i in range(n)],
    ),
    "phi3": lambda n: Phi3Config(**_common(n), **_gqa()),
    "gpt_neox": lambda n: GPTNeoXConfig(**_common(n), num_attention_heads=4),
    "mistral": lambda n: MistralConfig(**_common(n), **_gqa(), sliding_window=SLIDING),
}

FAMILIES = tuple(CONFIGS)
"""The families that every reading of a model is tested on."""

_MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 16, "mamba_n_groups": 1, "mamba_d_state": 16, "mamba_chunk_size": 16}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
_DELTA = {"linear_num_value_heads": 4, "linear_num_key_heads": 2}
_DIMS = {"linear_key_head_dim": 16, "linear_value_head_dim": 16}


def _kinds(layers: int, recurrent: str, attention: str = "full_attention") -> list[str]:
    return [attention if i % 2 else recurrent for i in range(layers)]


HYBRID_CONFIGS: dict[str, Any] = {
    "bamba": lambda n: BambaConfig(**_common(n), **_gqa(), **_MAMBA, attn_layer_indices=list(range(1, n, 2))),
    "lfm2": lambda n: Lfm2Config(**_common(n), **_gqa(), layer_types=_kinds(n, "conv")),
    "qwen3_next": lambda n: Qwen3NextConfig(
        **_common(n),
        **_gqa(),
        **_DELTA,
        **_DIMS,
        **_EXPERTS,
        head_dim=32,
        layer_types=_kinds(n, "linear_attention"),
        shared_expert_intermediate_size=32,
        mlp_only_layers=list(range(n)),
    ),
    "granitemoehybrid": lambda n: GraniteMoeHybridConfig(
        **_common(n),
        **_gqa(),
        **_MAMBA,
        layer_types=_kinds(n, "mamba", "attention"),
        num_local_experts=0,
        shared_intermediate_size=96,
        position_embedding_type="rope",
    ),
    "falcon_h1": lambda n: FalconH1Config(**_common(n), **_gqa(), **_MAMBA, head_dim=16, mamba_d_ssm=128),
    "jamba": lambda n: JambaConfig(
        **_common(n), **_gqa(), attn_layer_period=2, attn_layer_offset=1, num_experts=1, mamba_dt_rank=8
    ),
    "zamba2": lambda n: Zamba2Config(
        **_common(n),
        **_gqa(kv_heads=4),
        layers_block_type=_kinds(n, "mamba", "hybrid"),
        n_mamba_heads=8,
        mamba_headdim=16,
        mamba_ngroups=1,
        mamba_d_state=16,
        chunk_size=16,
        num_mem_blocks=1,
        use_mem_rope=True,
    ),
    "recurrent_gemma": lambda n: RecurrentGemmaConfig(**_common(n), **_gqa(), head_dim=16, attention_window_size=64),
}

HYBRIDS = tuple(HYBRID_CONFIGS)
"""Families with recurrent layers among those that attend; falcon_h1 and zamba2 have both in one layer."""

MORE_CONFIGS: dict[str, Any] = {"gpt2": _gpt2, **HYBRID_CONFIGS}


def tiny_config(family: str, layers: int = 4) -> PreTrainedConfig:
    config: PreTrainedConfig = {**CONFIGS, **MORE_CONFIGS}[family](layers)
    return config


def tiny_network(family: str, seed: int = 0, dtype: torch.dtype = torch.float32, layers: int = 4) -> PreTrainedModel:
    """A freshly made model of `family`; the same seed gives the same weights, the global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(tiny_config(family, layers), dtype=torch.float32)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 1:
                    parameter.add_(0.2 * torch.randn_like(parameter))
    for parameter in model.parameters():  # not model.to(dtype): that would round the rotary frequencies
        parameter.data = parameter.data.to(dtype)
    model.config.dtype = dtype
    return model


def tiny(
    family: str = "llama", seed: int = 0, dtype: torch.dtype = torch.float32, layers: int = 4, chat: bool = True
) -> LoadedModel:
    """A tiny random `LoadedModel` on the CPU: hidden 64, 4 heads (2 key heads, or 1), window 512, vocabulary 380."""
    return wrap_model(tiny_network(family, seed, dtype, layers), tiny_tokenizer(chat), f"tiny-{family}")


def save_tiny(family: str, path: Path, seed: int = 0, layers: int = 4, chat: bool = True) -> Path:
    """Write a tiny model as a directory in Hugging Face layout; gives `path` back."""
    tiny_network(family, seed, layers=layers).save_pretrained(path)
    tiny_tokenizer(chat).save_pretrained(path)
    return path
