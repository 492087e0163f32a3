"""Model directories as people have them: read as they are meant, or refused in one line."""

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from penchant.errors import InputError, ModelError
from penchant.models.loading import load_model
from tests.families import save_tiny, tiny, tiny_network, tiny_tokenizer

IDS = torch.arange(6, 30)[None]
Change = Callable[[Path], object]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return save_tiny("llama", tmp_path / "m")


def edited(name: str, **values: object) -> Change:
    def change(path: Path) -> None:
        content = json.loads((path / name).read_text()) if (path / name).exists() else {}
        (path / name).write_text(json.dumps({**content, **values}))

    return change


def tensors(more: dict[str, torch.Tensor]) -> Change:
    def change(path: Path) -> None:
        state = load_file(path / "model.safetensors") | more
        save_file(state, path / "model.safetensors", metadata={"format": "pt"})

    return change


def sharded(path: Path, lose: str | None = None) -> None:
    tiny_network("llama").save_pretrained(path, max_shard_size="100KB")
    (path / "model.safetensors").unlink()
    for file in path.glob(lose or "nothing"):
        file.unlink()


def own_code(path: Path) -> None:
    edited("config.json", model_type="abacus", auto_map={"AutoConfig": "own.Config"})(path)
    (path / "own.py").write_text("from transformers import LlamaConfig as Config\n")


def own_tokenizer(path: Path) -> None:
    edited("tokenizer_config.json", tokenizer_class="Abacus", auto_map={"AutoTokenizer": ["own.T", None]})(path)


def adapter(path: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    get_peft_model(tiny_network("llama"), config).save_pretrained(path)
    return path


QUANTISED = {"quantization_config": {"quant_method": "fp8"}}
ROW = torch.ones(64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (own_code, r"brings its own code, .*trust_remote_code=True .*--trust-remote-code"),
        (own_tokenizer, r"brings its own code"),
        (
            lambda path: sharded(path, "model-00002*"),
            r"lacks 1 of the files that model\.safetensors\.index",
        ),
        (tensors({"model.layers.0.self_attn.q_norm.weight": ROW}), r"1 tensors that a llama has no place for"),
        (tensors({"model.layers.4.mlp.up_proj.weight": ROW}), r"first model\.layers\.4\.mlp\.up_proj\.weight"),
        (tensors({"model.layers.0.self_attn.q_proj.lora_A.weight": ROW}), "lora_A"),
        (edited("config.json", **QUANTISED), "quantised .quant_method fp8., and they are plain"),
        (edited("config.json", dtype="float7"), "dtype 'float7'"),
        (lambda path: (path / "generation_config.json").write_text("{"), r"generation_config\.json is not JSON"),
        (lambda path: (path / "config.json").write_text("[]"), r"config\.json holds no object"),
        (adapter, r"an adapter beside its weights .*--adapter DIR"),
    ],
)
def test_refused_in_one_line(path: Path, change: Change, message: str) -> None:
    change(path)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (sharded, ""),
        (edited("config.json", architectures=None), ""),
        (tensors({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8)}), ""),
        (
            tensors({"vision_tower.layers.0.weight": ROW, "multi_modal_projector.w": ROW.clone()}),
            "2 tensors .*other senses",
        ),
        (tensors({"mtp.layers.0.weight": ROW}), "1 tensors .*multi-token prediction"),
        (tensors({"score.weight": ROW}), "1 tensors .*other tasks"),
        (edited("config.json", auto_map={"AutoModelForCausalLM": "own.Model"}), ""),  # the family is known without it
        (lambda path: torch.save({}, path / "pytorch_model.bin"), ""),  # safetensors come first
    ],
)
def test_what_cannot_change_an_answer_is_named(
    path: Path, change: Change, named: str, caplog: pytest.LogCaptureFixture
) -> None:
    change(path)
    with caplog.at_level(logging.INFO, "penchant"):
        loaded = load_model(path, dtype="float32")
    assert torch.equal(loaded.model(IDS).logits, tiny("llama").model(IDS).logits)
    assert re.search(named, caplog.text) and bool(named) == ("not loaded" in caplog.text)


def test_layers_for_prediction_are_those_that_the_config_counts(path: Path) -> None:
    tensors({"model.layers.4.mlp.up_proj.weight": ROW})(path)
    edited("config.json", num_nextn_predict_layers=1)(path)
    load_model(path)
    tensors({"model.layers.5.mlp.up_proj.weight": ROW})(path)
    with pytest.raises(ModelError, match=r"first model\.layers\.5"):
        load_model(path)


def test_pickled_weights(path: Path) -> None:
    torch.save(load_file(path / "model.safetensors"), path / "pytorch_model.bin")
    (path / "model.safetensors").unlink()
    assert load_model(path).fingerprint == tiny("llama").fingerprint


def test_own_code_runs_when_it_is_trusted(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    edited(
        "config.json",
        model_type="abacus",
        auto_map={"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"},
    )(path)
    (path / "own.py").write_text(
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        "class Config(LlamaConfig): model_type = 'abacus'\n"
        "class Model(LlamaForCausalLM): config_class = Config\n"
    )
    loaded = load_model(path, trust_remote_code=True, dtype="float32")
    assert type(loaded.model).__name__ == "Model"
    assert torch.equal(loaded.model(IDS).logits, tiny("llama").model(IDS).logits)
    assert "[y/N]" not in capfd.readouterr().out


def test_an_adapter_is_applied_when_it_is_named(path: Path, tmp_path: Path) -> None:
    other = adapter(tmp_path / "lora")
    base = load_model(path, dtype="float32")
    apart, beside = load_model(path, adapter=other, dtype="float32"), load_model(adapter(path), adapter=path)
    assert not torch.allclose(apart.model(IDS).logits, base.model(IDS).logits, atol=0.01)
    assert torch.allclose(apart.model(IDS).logits, beside.model(IDS).logits)
    assert base.fingerprint != apart.fingerprint == beside.fingerprint
    assert load_model(path, adapter=adapter(tmp_path / "two", seed=1)).fingerprint != apart.fingerprint


def test_adapters_that_do_not_fit(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lora = adapter(tmp_path / "lora")
    with pytest.raises(ModelError, match=r"no adapter in .*: expected a directory with adapter_config\.json"):
        load_model(path, adapter=path)
    with pytest.raises(ModelError, match=r"is an adapter of .*, not a model: .*--model BASE --adapter DIR"):
        load_model(lora)
    with pytest.raises(ModelError, match=r"can't apply the adapter in .*lora") as caught:
        load_model(save_tiny("gpt_neox", tmp_path / "neox"), adapter=lora)
    assert "\n" not in str(caught.value)
    state = load_file(lora / "adapter_model.safetensors")
    del state[min(state)]
    save_file(state, lora / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=r"lacks weights for .*1 in all"):
        load_model(path, adapter=lora)
    monkeypatch.setattr("penchant.extras.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"An adapter needs peft, .*penchant\[adapters\]"):
        load_model(path, adapter=lora)


def test_added_tokens_without_an_embedding_are_left_out(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(path)
    loaded = load_model(path)
    assert "no embedding for 1 added tokens ('[PAD]')" in caplog.text
    assert loaded.tokenizer.decode(loaded.tokenizer("a [PAD] b")["input_ids"]) == "a [PAD] b"
    assert max(loaded.tokenizer("a [PAD] b")["input_ids"]) < 380
    tokenizer.chat_template = "{% for m in messages %}[PAD]{{ m['content'] }}{% endfor %}"
    tokenizer.save_pretrained(path)
    with pytest.raises(ModelError, match=r"1 tokens beyond the model's 380 embeddings, among them '\[PAD\]'"):
        load_model(path)


def test_a_larger_vocabulary_is_refused(path: Path) -> None:
    torch.manual_seed(0)
    network = tiny_network("llama")
    network.resize_token_embeddings(370)
    network.save_pretrained(path)
    with pytest.raises(ModelError, match="10 tokens beyond the model's 370 embeddings"):
        load_model(path)
