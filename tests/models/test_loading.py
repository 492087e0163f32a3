"""Directories, names and hub ids become a `LoadedModel`, or a one-line error."""

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from penchant.errors import ModelError
from penchant.models import adapter_directory, loading
from penchant.models.loading import load_model, wrap_model
from tests.families import FAMILIES, save_tiny, tiny

FACTS = {
    "llama": (4, 2, 16),
    "qwen3": (4, 2, 32),
    "gemma3": (4, 1, 32),
    "phi3": (4, 2, 16),
    "gpt_neox": (4, 4, 16),
    "mistral": (4, 2, 16),
    "gpt2": (4, 4, 16),
}


@pytest.mark.parametrize("family", [*FAMILIES, "gpt2"])
def test_a_directory_of_any_family(family: str, tmp_path: Path) -> None:
    loaded = load_model(save_tiny(family, tmp_path / "mine"), dtype="float32")
    assert (loaded.num_heads, loaded.num_kv_heads, loaded.head_dim) == FACTS[family]
    assert (loaded.num_layers, loaded.hidden_size, loaded.window, loaded.name) == (4, 64, 512, "mine")
    assert loaded.fingerprint == tiny(family).fingerprint
    assert loaded.model.config._attn_implementation == "sdpa"
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    ids = torch.tensor([loaded.tokenizer("Any text 🙂")["input_ids"]])
    assert loaded.tokenizer.decode(ids[0]) == "Any text 🙂"
    assert torch.equal(loaded.model(ids).logits, tiny(family).model(ids).logits)
    hidden = loaded.base(ids).last_hidden_state
    assert hidden.shape == (1, ids.shape[1], 64)
    assert torch.equal(loaded.model.get_output_embeddings()(hidden), loaded.model(ids).logits)


def test_dtype_is_the_one_asked_for_and_rotary_frequencies_stay_exact(tmp_path: Path) -> None:
    path = save_tiny("llama", tmp_path / "m")
    loaded = load_model(path, dtype="bfloat16", device="cpu")
    assert loaded.dtype == torch.bfloat16 == loaded.model.dtype
    assert loaded.device.type == "cpu"
    assert loaded.base.rotary_emb.inv_freq.dtype == torch.float32  # type: ignore[union-attr]


def drop(pattern: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        for file in path.glob(pattern):
            file.unlink()

    return damage


def drop_a_tensor(path: Path) -> None:
    state = load_file(path / "model.safetensors")
    del state["model.layers.1.self_attn.q_proj.weight"]
    save_file(state, path / "model.safetensors", metadata={"format": "pt"})


def unknown_family(path: Path) -> None:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "model_type": "abacus", "architectures": ["Abacus"]}))


def settings(path: Path, **values: object) -> None:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **values}))


def other_shape(path: Path) -> None:
    settings(path, intermediate_size=100)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop("*"), "has no config.json"),
        (drop("config.json"), "has no config.json"),
        (drop("*.safetensors"), "has no weights"),
        (drop("tokenizer*"), "has no tokenizer"),
        (drop_a_tensor, r"lacks 1 weights, first model\.layers\.1\.self_attn\.q_proj\.weight"),
        (unknown_family, "can't read the model in"),
        (other_shape, r"has 12 weights of another shape .*mlp\.down_proj\.weight: \[64, 96\] instead of \[64, 100\]"),
        (lambda path: settings(path, hidden_act="abacus"), "nothing is known as 'abacus'"),
        (lambda path: settings(path, max_position_embeddings=None), "field 'max_position_embeddings': "),
        (lambda path: (path / "config.json").write_text("{"), "can't read the model in"),
        (lambda path: (path / "model.safetensors").write_bytes(b"\x00" * 100), "can't read the model in"),
        (lambda path: (path / "tokenizer.json").write_text("{}"), "can't read the model in"),
    ],
)
def test_a_damaged_directory_is_a_one_line_error(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    path = save_tiny("llama", tmp_path / "m")
    damage(path)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spec", ["./nowhere", "/nowhere/at/all", "~/nowhere-at-all", Path("nowhere")])
def test_a_path_that_is_not_there(spec: str | Path) -> None:
    with pytest.raises(ModelError, match="does not exist: expected a model directory"):
        load_model(spec)


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ModelError, match="is a file"):
        load_model(tmp_path / "notes.txt")


def test_a_name_that_nobody_knows_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "hub_answers", lambda: False)
    started = time.monotonic()
    with pytest.raises(ModelError, match=r"no model 'nobody/knows-this': not one of smollm2, gemma3-270m") as caught:
        load_model("nobody/knows-this")
    assert "\n" not in str(caught.value)
    assert time.monotonic() - started < 5  # no retries without a network


@pytest.mark.parametrize(
    ("proxy", "found", "expected"), [(None, True, True), (None, False, False), ("http://proxy:1", False, True)]
)
def test_whether_the_hub_answers(
    monkeypatch: pytest.MonkeyPatch, proxy: str | None, found: bool, expected: bool
) -> None:
    def look_up(host: str, port: object) -> list[object]:
        if not found:
            raise socket.gaierror("no such name")
        return []

    monkeypatch.setattr(loading, "getproxies", lambda: {"https": proxy} if proxy else {})
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert loading.hub_answers() is expected


def test_a_hub_id_is_asked_for_with_its_revision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = save_tiny("llama", tmp_path / "m")
    monkeypatch.setattr(loading, "hub_answers", lambda: True)
    asked: list[tuple[str, str | None, bool]] = []
    for auto in ("AutoConfig", "AutoTokenizer", "AutoModelForCausalLM"):
        real = getattr(loading, auto)

        class Hub:
            owner = real

            @classmethod
            def from_pretrained(cls, source: str, revision: str, local_files_only: bool, **rest: object) -> object:
                asked.append((source, revision, local_files_only))
                return cls.owner.from_pretrained(path, **rest)

        monkeypatch.setattr(loading, auto, Hub)
    looked: list[object] = []
    monkeypatch.setattr(loading, "check_hub_adapter", lambda *given: looked.append(given))
    monkeypatch.setattr(loading, "cached_file", lambda *given, **where: path / "config.json")
    loaded = load_model("someone/model", revision="v2", dtype="float32")
    assert looked == [("someone/model", "v2", False)]
    assert asked == [("someone/model", "v2", False)] * 3
    assert loaded.name == "someone/model"
    assert loaded.fingerprint == tiny("llama").fingerprint


def test_an_adapter_on_the_hub_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "hub_answers", lambda: True)
    monkeypatch.setattr(adapter_directory, "find_adapter_config_file", lambda name, **where: "adapter_config.json")
    with pytest.raises(ModelError, match=r"someone/lora has an adapter .*--model BASE --adapter DIR"):
        load_model("someone/lora")


def test_a_model_without_a_chat_template_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    load_model(save_tiny("llama", tmp_path / "base", chat=False))
    assert 'base has no chat template: a prompt is written as "User: ...", "Assistant: ..."' in caplog.text
    caplog.clear()
    load_model(save_tiny("llama", tmp_path / "chat"))
    assert not caplog.text


def test_the_head_multiplies_rows_of_its_own() -> None:
    # A view of the last row makes a bfloat16 product on the CPU many times slower (see loading).
    loaded = tiny("llama", dtype=torch.bfloat16)
    wrap_model(loaded.model, loaded.tokenizer, "again")  # wrapped twice: copied once
    head = loaded.model.get_output_embeddings()
    assert len(head._forward_pre_hooks) == 1
    seen: list[torch.Tensor] = []
    handle = head.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    with torch.no_grad():
        loaded.model(input_ids=torch.arange(6, 16)[None], logits_to_keep=1)
    handle.remove()
    assert seen[0].shape == (1, 1, 64)
    assert seen[0].untyped_storage().nbytes() == seen[0].nbytes
