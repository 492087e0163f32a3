"""Whose model this is: adapters and settings that change the logits change the identity, and nothing else does."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, PreTrainedModel

from penchant.models.fingerprint import model_fingerprint
from penchant.models.loading import wrap_model
from penchant.models.settings_probe import settings_probe
from tests.families import tiny_config, tiny_network, tiny_tokenizer


def adapter(model: PreTrainedModel, name: str, seed: int, **options: Any) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False, **options)
        model.add_adapter(config, name)


def scaled(model: PreTrainedModel, name: str, factor: float) -> None:
    for module in model.modules():
        if name in getattr(module, "lora_A", {}):
            module.set_scale(name, factor)


def test_each_adapter_and_each_scale_is_another_model() -> None:
    network = tiny_network("llama")
    loaded = wrap_model(network, tiny_tokenizer(), "tiny")
    plain = loaded.fingerprint
    adapter(network, "ann", 1)
    adapter(network, "bob", 2)
    found = {"plain": plain}
    for name in ("ann", "bob"):
        network.set_adapter(name)
        found[name] = loaded.fingerprint
    scaled(network, "bob", 0.5)
    found["bob, half"] = loaded.fingerprint
    network.set_adapter(["ann", "bob"])
    found["both"] = loaded.fingerprint
    assert len(set(found.values())) == len(found)
    scaled(network, "bob", 1.0)
    network.set_adapter("bob")
    assert loaded.fingerprint == found["bob"]
    network.disable_adapters()
    assert loaded.fingerprint == plain  # an adapter that lies there unused is none
    network.enable_adapters()
    assert loaded.fingerprint == found["bob"]


def test_an_adapter_that_is_trained_on_is_another() -> None:
    network = tiny_network("llama")
    adapter(network, "ann", 1)
    loaded = wrap_model(network, tiny_tokenizer(), "tiny")
    before = loaded.fingerprint
    weight = next(one for name, one in network.named_parameters() if "lora_B" in name)
    with torch.no_grad():
        weight.add_(0.01)
    assert loaded.fingerprint != before


def test_an_adapter_is_the_same_by_any_name_and_way_of_loading() -> None:
    found = []
    for name, first in (("ann", None), ("default", "unused")):
        network = tiny_network("llama")
        if first:
            adapter(network, first, 9)
        adapter(network, name, 1)
        network.set_adapter(name)
        found.append(wrap_model(network, tiny_tokenizer(), "tiny"))
    assert found[0].fingerprint == found[1].fingerprint
    assert {one.identity.base for one in found} == {model_fingerprint(tiny_network("llama"), tiny_tokenizer())}
    with torch.random.fork_rng(devices=[]):
        wrapped = get_peft_model(tiny_network("llama"), LoraConfig(r=2, target_modules=["q_proj"]))
    around = wrap_model(wrapped, tiny_tokenizer(), "tiny")  # type: ignore[arg-type]
    assert around.identity.base == found[0].identity.base != around.fingerprint


def test_merged_adapters_count() -> None:
    network = tiny_network("llama")
    adapter(network, "ann", 1)
    loaded = wrap_model(network, tiny_tokenizer(), "tiny")
    before = loaded.fingerprint
    for module in network.modules():
        if hasattr(module, "lora_A"):
            module.merge()
    assert loaded.fingerprint not in (before, loaded.identity.base)


def with_settings(family: str, **settings: object) -> PreTrainedModel:
    """The model of `tiny_network` with other settings, and the same weights."""
    config = tiny_config(family)
    for key, value in settings.items():
        setattr(config, key, value)
    made = AutoModelForCausalLM.from_config(config)
    made.load_state_dict(tiny_network(family).state_dict())
    return made  # type: ignore[no-any-return]


SETTINGS = [
    ("granite", "attention_multiplier", 0.3),
    ("granite", "residual_multiplier", 0.9),
    ("granite", "embedding_multiplier", 1.5),
    ("granite", "logits_scaling", 1.01),
    ("smollm3", "no_rope_layers", [1, 1, 0, 0]),
    ("qwen3_moe", "num_experts_per_tok", 1),
    ("qwen3_moe", "norm_topk_prob", True),
    ("cohere2", "logit_scale", 0.07),
    ("gemma2", "final_logit_softcapping", 20.0),
    ("llama4", "attention_chunk_size", 32),
    ("falcon_h1", "ssm_multipliers", [0.9, 1.0, 1.0, 1.0, 1.0]),
]


@pytest.mark.parametrize(("family", "key", "value"), SETTINGS)
def test_every_setting_that_changes_the_logits_counts(family: str, key: str, value: object) -> None:
    tokenizer = tiny_tokenizer()
    plain = model_fingerprint(tiny_network(family), tokenizer)
    assert model_fingerprint(with_settings(family), tokenizer) == plain
    assert model_fingerprint(with_settings(family, **{key: value}), tokenizer) != plain


@pytest.mark.parametrize(
    ("family", "key", "value"),
    [("qwen3_moe", "router_aux_loss_coef", 0.5), ("granite", "attention_dropout", 0.1), ("llama", "use_cache", False)],
)
def test_settings_that_change_nothing_do_not(family: str, key: str, value: object) -> None:
    tokenizer = tiny_tokenizer()
    found = model_fingerprint(with_settings(family, **{key: value}), tokenizer)
    assert found == model_fingerprint(tiny_network(family), tokenizer)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "gemma3", "qwen3_moe", "bamba", "deepseek_v3", "gpt_oss"])
def test_a_probe_depends_on_settings_alone(family: str) -> None:
    found = settings_probe(tiny_network(family))
    assert found is not None
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3 - min(threads, 2))
        assert settings_probe(tiny_network(family, seed=1, dtype=torch.bfloat16)) == found
    finally:
        torch.set_num_threads(threads)
    network: Any = tiny_network(family)
    last = max(n for n, layer in enumerate(network.model.layers) if hasattr(layer, "self_attn"))
    network.model.layers[last].self_attn.scaling *= 1.001
    assert settings_probe(network) != found


def test_a_probe_leaves_the_model_as_it_was() -> None:
    network = tiny_network("mixtral")
    before, ids = {name: id(one) for name, one in network.named_parameters()}, torch.arange(6)[None]
    logits, experts = network(ids).logits, network.config._experts_implementation
    settings_probe(network)
    assert {name: id(one) for name, one in network.named_parameters()} == before
    assert torch.equal(network(ids).logits, logits) and network.config._experts_implementation == experts


def test_what_cannot_be_probed_is_identified_by_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penchant.models.fingerprint.settings_probe", lambda *given, **options: None)
    tokenizer = tiny_tokenizer()
    found = {model_fingerprint(with_settings("granite", residual_multiplier=x), tokenizer) for x in (1.0, 0.9, 0.8)}
    assert len(found) == 3


def test_plain_models_keep_the_identity_of_earlier_versions() -> None:
    made: dict[str, Callable[[], PreTrainedModel]] = {
        "llama": lambda: tiny_network("llama"),
        "granite": lambda: with_settings("granite", residual_multiplier=0.9),
    }
    for family, make in made.items():
        loaded = wrap_model(make(), tiny_tokenizer(), family)
        if family == "llama":
            assert loaded.identity.names == (loaded.identity.earlier,)
        else:
            assert loaded.identity.names == (loaded.fingerprint, loaded.identity.earlier)
            assert loaded.fingerprint != loaded.identity.earlier
