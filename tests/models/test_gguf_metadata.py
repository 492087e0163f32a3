"""What a GGUF holds besides what transformers reads: in the model, or refused by name."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from penchant.errors import ModelError
from penchant.inference.sampling import GREEDY, Sampling, own_sampling
from penchant.models.cache import models_directory
from penchant.models.gguf import FORMAT, GgufSource
from penchant.models.gguf_metadata import name_the_rest
from penchant.models.loading import LoadedModel, load_model
from tests.families import tiny_network
from tests.tiny_gguf import write_tiny_gguf

IDS = torch.arange(6, 46)[None]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENCHANT_CACHE", str(tmp_path / "cache"))


def loaded_with(path: Path, **parts: object) -> LoadedModel:
    """The model of a tiny file, read back from the cache."""
    write_tiny_gguf(path / "tiny.gguf", **parts)  # type: ignore[arg-type]
    load_model(path / "tiny.gguf", dtype="float32")
    return load_model(path / "tiny.gguf", dtype="float32")


def expected(**rope: object) -> torch.Tensor:
    """The logits of the same network with other rotary settings."""
    network = tiny_network("llama", layers=2)
    network.config.rope_parameters = {**network.config.rope_parameters, **rope}
    made = type(network)(network.config)
    made.load_state_dict({name: tensor.half().float() for name, tensor in network.state_dict().items()})
    return torch.as_tensor(made(IDS).logits)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"drop": "blk.1.attn_q.weight"}, r"lacks 1 weights, first model\.layers\.1\.self_attn\.q_proj\.weight"),
        ({"more": {"blk.0.ffn_up.weight": np.ones((90, 64), np.float32)}}, r"1 weights of another shape .*\[90, 64\]"),
        ({"drop": "output_norm.weight"}, r"lacks 1 weights, first model\.norm\.weight"),
        (
            {"more": {"blk.0.attn_q.bias": np.ones(64, np.float32)}},
            r"a llama has no place for, .*attn_q\.bias",
        ),
        ({"more": {"blk.2.ffn_up.weight": np.ones((96, 64), np.float32)}}, r"first blk\.2\.ffn_up\.weight"),
        ({"more": {"rope_factors_long.weight": np.ones(8, np.float32)}}, "scales its rotary .*rope_factors_long"),
        ({"fields": {"llama.rope.scaling.type": "linear", "llama.rope.scaling.attn_factor": 1.5}}, "attn_factor 1.5"),
        ({"fields": {"llama.attention.clamp_kqv": 8.0}}, r"sets llama\.attention\.clamp_kqv = 8\.0, which"),
        ({"fields": {"llama.residual_scale": 0.22, "llama.logit_scale": 0.1}}, "residual_scale = .*and 1 more"),
        ({"fields": {"llama.rope.dimension_count_swa": 8}}, "rope.dimension_count_swa = 8"),
        ({"fields": {"general.type": "adapter"}}, "is a LoRA adapter, not a language model"),
        ({"fields": {"split.count": 3}}, r"one of 3 parts .*llama-gguf-split --merge"),
    ],
)
def test_what_finds_no_place_is_refused_and_not_kept(tmp_path: Path, parts: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        loaded_with(tmp_path, **parts)
    assert "\n" not in str(caught.value) and "tiny.gguf" in str(caught.value)
    assert not list(models_directory().glob("tiny-*"))


@pytest.mark.parametrize(
    "parts",
    [
        {"fields": {"general.author": "x", "quantize.imatrix.file": "y", "llama.attention.clamp_kqv": 0.0}},
        {"fields": {"llama.attention.key_length": 16, "llama.attention.value_length": 16, "llama.residual_scale": 1.0}},
        {"fields": {"llama.rope.scaling.type": "none", "llama.rope.dimension_count": 16}},
        {"more": {"v.patch_embd.weight": np.ones(8, np.float32), "mm.0.weight": np.ones(8, np.float32)}},
    ],
)
def test_what_changes_nothing_is_no_hindrance(tmp_path: Path, parts: dict[str, object]) -> None:
    torch.testing.assert_close(loaded_with(tmp_path, **parts).model(IDS).logits, expected(), rtol=1e-5, atol=1e-5)


def test_rotary_factors_and_scaling_are_applied(tmp_path: Path) -> None:
    factors = np.linspace(1, 32, 8, dtype=np.float32)  # as Llama 3 has them
    scaled = loaded_with(tmp_path, more={"rope_freqs.weight": factors})
    inverse = scaled.base.rotary_emb.inv_freq  # type: ignore[union-attr]
    assert torch.allclose(inverse * torch.from_numpy(factors), 10000.0 ** (-torch.arange(8) / 8))  # type: ignore[operator]
    assert scaled.base.rotary_emb.attention_scaling == 1  # type: ignore[union-attr]
    plain = loaded_with(tmp_path)
    assert plain.fingerprint != scaled.fingerprint
    assert not torch.allclose(plain.model(IDS).logits, scaled.model(IDS).logits, atol=0.01)


@pytest.mark.parametrize("kind", ["linear", "yarn"])
def test_a_scaling_by_name(tmp_path: Path, kind: str) -> None:
    fields = {"llama.rope.scaling.type": kind, "llama.rope.scaling.factor": 4.0}
    if kind == "yarn":
        fields["llama.rope.scaling.original_context_length"] = 128
    more = {"original_max_position_embeddings": 128} if kind == "yarn" else {}
    logits = loaded_with(tmp_path, fields=fields).model(IDS).logits
    torch.testing.assert_close(logits, expected(rope_type=kind, factor=4.0, **more), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(logits, expected(), atol=0.01)


def test_what_an_earlier_version_unpacked_is_not_used(tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    write_tiny_gguf(file)
    entry = models_directory() / f"tiny-{GgufSource.of_file(file).key(FORMAT - 1)}"
    entry.mkdir(parents=True)
    (entry / "penchant.json").write_text('{"files": {}}')
    load_model(file)
    assert [path.name for path in models_directory().iterdir()] == [f"tiny-{GgufSource.of_file(file).key()}"]


def test_an_unknown_rule_for_cutting_text_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        name_the_rest("m.gguf", {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "qwen2"})
        name_the_rest("m.gguf", {"tokenizer.ggml.model": "llama", "tokenizer.ggml.pre": "abacus"})
        assert not caplog.text
        name_the_rest("m.gguf", {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "abacus"})
    assert "m.gguf cuts text by the rule 'abacus'" in caplog.text


def test_a_tokenizer_has_no_token_beyond_the_embeddings(tmp_path: Path) -> None:
    tiny = loaded_with(tmp_path)
    assert max(tiny.tokenizer("<|endoftext|> <|end|>")["input_ids"]) < tiny.model.config.vocab_size


def test_recommended_sampling_is_applied(tmp_path: Path) -> None:
    given = {"temp": 0.5, "top_k": 20, "top_p": 0.75, "min_p": 0.25, "penalty_repeat": 1.5}
    fields = {f"general.sampling.{name}": value for name, value in given.items()}
    loaded = loaded_with(tmp_path, fields=fields)
    assert own_sampling(loaded) == Sampling(0.5, top_k=20, top_p=0.75, min_p=0.25, repetition_penalty=1.5)
    assert own_sampling(loaded, temperature=0.0) == GREEDY


def test_a_recommended_temperature_of_zero_is_greedy(tmp_path: Path) -> None:
    loaded = loaded_with(tmp_path, fields={"general.sampling.temp": 0.0, "general.sampling.top_k": 40})
    assert own_sampling(loaded).temperature == 0


def test_recommended_sampling_that_is_not_done_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        name_the_rest("m.gguf", {"general.sampling.mirostat": 2, "general.sampling.xtc_probability": 0.0})
    assert "recommends general.sampling.mirostat" in caplog.text and "xtc" not in caplog.text
