"""The families of decoders that are tried: a tiny configuration of each, with everything that sets the family apart.

Four layers, hidden size 64, a vocabulary of 380 and a window of 512 tokens. Sliding windows are shorter than any
sensible text, hybrids attend in every other layer, and half of the layers that share keys do so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import transformers
from transformers import PreTrainedConfig

from penchant_lab.families.sizes import (
    END_ID,
    PAD_ID,
    SLIDING,
    VOCABULARY,
    WINDOW,
    alternating,
    attention_heads,
    common_settings,
    mixed,
    named_as_gpt2,
    plain,
    sliding,
)

hf: Any = transformers


@dataclass(frozen=True)
class Family:
    """name: transformers' model type. examples: models that users know. config: from the number of layers."""

    name: str
    examples: str
    config: Callable[[int], PreTrainedConfig]


_MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 16, "mamba_n_groups": 1, "mamba_d_state": 16, "mamba_chunk_size": 16}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
_LOCAL = {"num_local_experts": 4, "num_experts_per_tok": 2}
_ROUTED = {
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "n_group": 2,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "moe_intermediate_size": 32,
}
_LATENT = {
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 16,
    "v_head_dim": 16,
}
_DELTA = {
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
}
_PER_LAYER = {"vocab_size_per_layer_input": VOCABULARY, "hidden_size_per_layer_input": 8}
_STATES = {"vocab_size": VOCABULARY, "hidden_size": 64, "initializer_range": 0.2}
_ENDS = {"pad_token_id": PAD_ID, "eos_token_id": END_ID, "bos_token_id": END_ID}


def _gemma3n(layers: int) -> PreTrainedConfig:
    return sliding(
        hf.Gemma3nTextConfig,
        head_dim=16,
        num_kv_shared_layers=layers // 2,
        laurel_rank=8,
        altup_num_inputs=2,
        activation_sparsity_pattern=[0.0] * layers,
        **_PER_LAYER,
    )(layers)


def _gemma4(layers: int) -> PreTrainedConfig:
    shared = layers // 2
    options = {"head_dim": 16, "global_head_dim": 32, "num_kv_shared_layers": shared}
    return sliding(hf.Gemma4TextConfig, **options, **_PER_LAYER)(layers)


def _nope(layers: int) -> dict[str, Any]:
    return {"no_rope_layers": [int(i % 4 != 3) for i in range(layers)]}


def _zamba2(layers: int) -> Any:
    mamba = {"n_mamba_heads": 8, "mamba_headdim": 16, "mamba_ngroups": 1, "mamba_d_state": 16, "chunk_size": 16}
    return hf.Zamba2Config(
        **{**common_settings(layers), **attention_heads(kv_heads=4)},
        layers_block_type=alternating(layers, "mamba", "hybrid"),
        **mamba,
        num_mem_blocks=1,
        use_mem_rope=True,
    )


def _nemotron_h(layers: int) -> Any:
    common = {key: value for key, value in common_settings(layers).items() if key != "num_hidden_layers"}
    mamba = {"mamba_num_heads": 8, "mamba_head_dim": 16, "n_groups": 1, "ssm_state_size": 16, "chunk_size": 16}
    kinds = [("mamba", "attention", "mlp", "attention")[i % 4] for i in range(layers)]
    return hf.NemotronHConfig(**common, **attention_heads(), head_dim=16, layers_block_type=kinds, **mamba)


def _mamba1(config: Any) -> Callable[[int], PreTrainedConfig]:
    return lambda layers: config(**_STATES, **_ENDS, num_hidden_layers=layers, state_size=8)


def _mamba2(layers: int) -> Any:
    heads = {"num_heads": 8, "head_dim": 16, "n_groups": 1, "state_size": 16, "chunk_size": 16}
    return hf.Mamba2Config(**_STATES, **_ENDS, **heads, num_hidden_layers=layers)


def _opt(layers: int) -> Any:
    sizes = {"hidden_size": 64, "ffn_dim": 96, "word_embed_proj_dim": 64, "num_attention_heads": 4}
    common = {"vocab_size": VOCABULARY, "max_position_embeddings": WINDOW, "init_std": 0.2}
    return hf.OPTConfig(**sizes, **common, **_ENDS, num_hidden_layers=layers)


FAMILIES: dict[str, Family] = {
    one.name: one
    for one in (
        # Attention in every layer.
        Family("llama", "Llama 3, SmolLM2, Yi", plain(hf.LlamaConfig, tie_word_embeddings=True)),
        Family("mistral", "Mistral", plain(hf.MistralConfig, sliding_window=SLIDING)),
        Family("ministral3", "Ministral 3", plain(hf.Ministral3Config, head_dim=16)),
        Family("qwen2", "Qwen 2.5", plain(hf.Qwen2Config)),
        Family("qwen3", "Qwen 3", plain(hf.Qwen3Config, head_dim=32)),
        Family("phi3", "Phi-3, Phi-4", plain(hf.Phi3Config)),
        Family(
            "gemma3",
            "Gemma 3",
            sliding(hf.Gemma3TextConfig, num_key_value_heads=1, head_dim=32, query_pre_attn_scalar=32),
        ),
        Family("olmo2", "OLMo 2", plain(hf.Olmo2Config)),
        Family("olmo3", "OLMo 3", sliding(hf.Olmo3Config)),
        Family("granite", "Granite 3", plain(hf.GraniteConfig, attention_multiplier=0.2, residual_multiplier=0.8)),
        Family("stablelm", "StableLM", plain(hf.StableLmConfig)),
        Family("glm4", "GLM-4", plain(hf.Glm4Config, head_dim=16)),
        Family("cohere2", "Command R7B, Command A", sliding(hf.Cohere2Config, logit_scale=0.5)),
        Family("starcoder2", "StarCoder 2", plain(hf.Starcoder2Config)),
        Family("nemotron", "Nemotron 3, Minitron", plain(hf.NemotronConfig)),
        Family("hunyuan_v1_dense", "Hunyuan", plain(hf.HunYuanDenseV1Config, head_dim=16)),
        Family("gpt2", "GPT-2", named_as_gpt2(hf.GPT2Config)),
        Family("gpt_neox", "Pythia", lambda n: hf.GPTNeoXConfig(**common_settings(n), num_attention_heads=4)),
        Family("opt", "OPT", _opt),
        # Layers without rotated positions.
        Family("smollm3", "SmolLM3", lambda n: plain(hf.SmolLM3Config, **_nope(n))(n)),
        Family(
            "llama4",
            "Llama 4",
            lambda n: plain(
                hf.Llama4TextConfig,
                head_dim=16,
                intermediate_size_mlp=96,
                **{**_LOCAL, "num_experts_per_tok": 1},
                attention_chunk_size=64,
                **_nope(n),
            )(n),
        ),
        # Layers that share the keys of others.
        Family("gemma3n", "Gemma 3n", _gemma3n),
        Family("gemma4", "Gemma 4", _gemma4),
        # Experts.
        Family("mixtral", "Mixtral", plain(hf.MixtralConfig, **_LOCAL)),
        Family("qwen3_moe", "Qwen 3 30B-A3B", plain(hf.Qwen3MoeConfig, head_dim=16, **_EXPERTS)),
        Family("olmoe", "OLMoE", plain(hf.OlmoeConfig, num_experts=4, num_experts_per_tok=2)),
        Family("glm4_moe", "GLM-4.5", plain(hf.Glm4MoeConfig, head_dim=16, **_ROUTED)),
        Family("granitemoe", "Granite 3 MoE", plain(hf.GraniteMoeConfig, **_LOCAL)),
        Family("minimax_m2", "MiniMax M2", plain(hf.MiniMaxM2Config, head_dim=16, **_LOCAL)),
        # Keys made from a latent vector (MLA).
        Family("deepseek_v2", "DeepSeek V2", plain(hf.DeepseekV2Config, **_ROUTED, **_LATENT)),
        Family("deepseek_v3", "DeepSeek V3, R1, Kimi K2", plain(hf.DeepseekV3Config, **_ROUTED, **_LATENT)),
        Family("minicpm3", "MiniCPM 3", plain(hf.MiniCPM3Config, **_LATENT)),
        # Soft caps and sinks in the attention.
        Family(
            "gemma2", "Gemma 2", plain(hf.Gemma2Config, head_dim=16, query_pre_attn_scalar=16, sliding_window=SLIDING)
        ),
        Family(
            "gpt_oss",
            "gpt-oss",
            sliding(
                hf.GptOssConfig, head_dim=16, **_LOCAL, rope_parameters={"rope_type": "default", "rope_theta": 1e4}
            ),
        ),
        # Recurrent layers among those that attend; Falcon-H1 and Zamba2 have both in one layer.
        Family("lfm2", "LFM2", mixed(hf.Lfm2Config, "conv")),
        Family(
            "granitemoehybrid",
            "Granite 4",
            lambda n: hf.GraniteMoeHybridConfig(
                **common_settings(n),
                **attention_heads(),
                **_MAMBA,
                layer_types=alternating(n, "mamba", "attention"),
                num_local_experts=0,
                shared_intermediate_size=96,
                position_embedding_type="rope",
            ),
        ),
        Family(
            "qwen3_next",
            "Qwen3-Next",
            lambda n: mixed(
                hf.Qwen3NextConfig,
                "linear_attention",
                **_DELTA,
                **_EXPERTS,
                head_dim=32,
                shared_expert_intermediate_size=32,
                mlp_only_layers=list(range(n)),
            )(n),
        ),
        Family("qwen3_5_text", "Qwen 3.5", mixed(hf.Qwen3_5TextConfig, "linear_attention", **_DELTA, head_dim=32)),
        Family(
            "olmo_hybrid",
            "OLMo hybrid",
            mixed(hf.OlmoHybridConfig, "linear_attention", **{**_DELTA, "linear_num_value_heads": 2}),
        ),
        Family(
            "minimax",
            "MiniMax Text 01",
            mixed(hf.MiniMaxConfig, "linear_attention", head_dim=16, block_size=16, **_LOCAL),
        ),
        Family(
            "bamba",
            "Bamba",
            lambda n: hf.BambaConfig(
                **common_settings(n), **attention_heads(), **_MAMBA, attn_layer_indices=list(range(1, n, 2))
            ),
        ),
        Family(
            "falcon_h1",
            "Falcon-H1",
            lambda n: hf.FalconH1Config(
                **common_settings(n), **attention_heads(), **_MAMBA, head_dim=16, mamba_d_ssm=128
            ),
        ),
        Family("nemotron_h", "Nemotron-H, Nemotron Nano", _nemotron_h),
        Family(
            "jamba",
            "Jamba",
            lambda n: hf.JambaConfig(
                **common_settings(n),
                **attention_heads(),
                attn_layer_period=2,
                attn_layer_offset=1,
                num_experts=1,
                mamba_dt_rank=8,
            ),
        ),
        Family("zamba2", "Zamba2", _zamba2),
        Family(
            "recurrent_gemma",
            "RecurrentGemma",
            lambda n: hf.RecurrentGemmaConfig(
                **common_settings(n), **attention_heads(), head_dim=16, attention_window_size=64
            ),
        ),
        # Recurrent layers only.
        Family("mamba", "Mamba", _mamba1(hf.MambaConfig)),
        Family("falcon_mamba", "Falcon Mamba", _mamba1(hf.FalconMambaConfig)),
        Family("mamba2", "Mamba 2, Codestral Mamba", _mamba2),
        # Attention outside of transformers' registry.
        Family(
            "falcon",
            "Falcon",
            lambda n: hf.FalconConfig(
                **common_settings(n), num_attention_heads=4, new_decoder_architecture=True, num_kv_heads=2
            ),
        ),
        Family("bloom", "BLOOM", lambda n: hf.BloomConfig(**_STATES, **_ENDS, n_head=4, n_layer=n)),
        Family(
            "mpt",
            "MPT",
            lambda n: hf.MptConfig(
                vocab_size=VOCABULARY, d_model=64, n_layers=n, n_heads=4, max_seq_len=WINDOW, initializer_range=0.2
            ),
        ),
    )
}
