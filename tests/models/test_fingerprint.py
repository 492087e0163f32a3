"""What the fingerprint of a model depends on, and what it doesn't."""

import pytest
import torch

from penchant.models.anatomy import attention_module, decoder_layers
from penchant.models.fingerprint import model_fingerprint
from tests.families import FAMILIES, tiny, tiny_network, tiny_tokenizer


@pytest.mark.parametrize("family", FAMILIES)
def test_one_model_one_fingerprint_in_float32_and_bfloat16(family: str) -> None:
    assert tiny(family).fingerprint == tiny(family, dtype=torch.bfloat16).fingerprint
    assert tiny(family).fingerprint != tiny(family, seed=1).fingerprint


def test_float16_agrees_when_its_values_are_exact() -> None:
    network, tokenizer = tiny_network("llama"), tiny_tokenizer()
    for parameter in network.parameters():
        parameter.data = parameter.data.half().float()
    full = model_fingerprint(network, tokenizer)
    for parameter in network.parameters():
        parameter.data = parameter.data.half()
    assert model_fingerprint(network, tokenizer) == full


def test_one_value_anywhere_counts() -> None:
    network, tokenizer = tiny_network("llama"), tiny_tokenizer()
    before = model_fingerprint(network, tokenizer)
    weight = network.get_input_embeddings().weight.data
    assert weight.numel() > 2 * 1024  # so that (17, 3) isn't in the sample and only the sum sees it
    assert (17 * 64 + 3) % (weight.numel() // 1024)
    weight[17, 3] *= 1.02
    changed = model_fingerprint(network, tokenizer)
    assert changed != before
    weight[17, 3] = tiny_network("llama").get_input_embeddings().weight.data[17, 3]
    assert model_fingerprint(network, tokenizer) == before


def test_a_low_rank_update_counts() -> None:
    network, tokenizer = tiny_network("qwen3"), tiny_tokenizer()
    before = model_fingerprint(network, tokenizer)
    query = attention_module(decoder_layers(network)[2]).q_proj.weight.data
    query += 0.01 * torch.randn(query.shape[0], 2) @ torch.randn(2, query.shape[1])
    assert model_fingerprint(network, tokenizer) != before


@pytest.mark.parametrize(("key", "value"), [("sliding_window", 16), ("rms_norm_eps", 1e-3)])
def test_settings_that_change_the_forward_pass_count(key: str, value: object) -> None:
    network, tokenizer = tiny_network("mistral"), tiny_tokenizer()
    before = model_fingerprint(network, tokenizer)
    setattr(network.config, key, value)
    assert model_fingerprint(network, tokenizer) != before


def test_rotary_base_and_tokenizer_count_but_bookkeeping_does_not() -> None:
    network, tokenizer = tiny_network("llama"), tiny_tokenizer()
    before = model_fingerprint(network, tokenizer)
    network.config.transformers_version = "9.9"
    network.config._name_or_path = "elsewhere"
    network.config.dtype = torch.float16
    assert model_fingerprint(network, tokenizer) == before
    tokenizer.add_tokens(["привет"])
    other = model_fingerprint(network, tokenizer)
    assert other != before
    network.config.rope_parameters = {**network.config.rope_parameters, "rope_theta": 77.0}
    assert model_fingerprint(network, tokenizer) not in (before, other)


def test_odd_sizes_and_views_are_hashed() -> None:
    network, tokenizer = tiny_network("llama"), tiny_tokenizer()
    network.register_parameter("odd", torch.nn.Parameter(torch.arange(8.0, dtype=torch.bfloat16)[1:]))
    before = model_fingerprint(network, tokenizer)
    network.odd.data[-1] = 9
    assert model_fingerprint(network, tokenizer) != before
