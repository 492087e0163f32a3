"""--adapter and --trust-remote-code, on every command that takes --model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from penchant.models.loading import load_model
from penchant.models.model_name import ModelName
from tests.commands import REQUEST, Home, Invoke, write_history
from tests.families import tiny_network

HELPED = ("mark", "compress", "ask", "chat", "demo", "doctor", "heads discover", "steer fit")


@pytest.mark.parametrize("command", HELPED)
def test_every_command_with_a_model_has_them(penchant: Invoke, command: str) -> None:
    out = penchant(*command.split(), "--help").out
    assert out.index("--model") < out.index("--adapter DIR") < out.index("--trust-remote-code")


def test_no_other_command_has_them(penchant: Invoke) -> None:
    assert "--adapter" not in penchant("users", "list", "--help").out


def with_code(home: Home, path: Path, kind: str) -> Path:
    """The tiny model with code of its own, which prints and asks. kind: its type, by its own config."""
    shutil.copytree(home.model, path)
    config = json.loads((path / "config.json").read_text())
    auto = {"AutoConfig": "own_code.Config", "AutoModelForCausalLM": "own_code.Model"}
    (path / "config.json").write_text(json.dumps({**config, "model_type": kind, "auto_map": auto}))
    (path / "own_code.py").write_text(
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        "print('a word from the model')\n"
        "try:\n    input('Licence accepted? ')\nexcept Exception as error:\n    print(error)\n"
        f"class Config(LlamaConfig): model_type = {kind!r}\n"
        "class Model(LlamaForCausalLM): config_class = Config\n"
    )
    return path


def test_own_code_neither_asks_nor_answers(
    penchant: Invoke, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    chat = ("chat", "--user", "ann", "--notes", "0", "--max-tokens", "3", "--json")
    unknown, known = with_code(home, tmp_path / "one", "abacus"), with_code(home, tmp_path / "two", "llama")
    refused = penchant(*chat, "--model", unknown, stdin="y\nHello\n")
    assert "brings its own code, which is not run" in refused.reason()
    said = penchant(*chat, "--model", known, "--trust-remote-code", stdin="y\nHello\n")
    assert [turn["text"] for turn in said.document["turns"]] == ["y", "Hello"]
    assert "a word from the model" in said.err and "a library asked a question on stdin" in said.err


def test_an_adapter_answers_otherwise(penchant: Invoke, home: Home, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = LoraConfig(r=2, lora_alpha=500, target_modules=["q_proj"], init_lora_weights=False)
    get_peft_model(tiny_network("llama"), config).save_pretrained(tmp_path / "lora")
    asked = ("ask", "--history", write_history(tmp_path / "history.jsonl"), "--request", REQUEST, "--json")
    asked = (*asked, "--marker", "bm25", "--max-tokens", "5", "--model", home.model)
    plain = penchant(*asked).document["answer"]
    assert penchant(*asked, "--adapter", tmp_path / "lora").document["answer"] != plain
    assert "no adapter in" in penchant(*asked, "--adapter", tmp_path / "none").reason()


def test_a_name_carries_how_it_is_loaded(home: Home) -> None:
    name = ModelName(str(home.model), trust_remote_code=True)
    assert name == str(home.model) and name.adapter is None
    assert load_model(name).fingerprint == home.calibration.model_fingerprint
