"""How a model is loaded: one group of options, on every command that takes --model."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

import penchant_lab
from penchant.models.loading import load_model
from penchant.models.model_name import ModelName
from penchant_lab.cli.app import ABOUT as BENCHES
from tests.commands import REQUEST, Home, Invoke, all_commands, write_history
from tests.families import tiny_network

GROUP = ("model", "device", "dtype", "adapter", "trust_remote_code")
ANSWERS = {"ask", "chat", "demo", *(f"bench {name}" for name in BENCHES if name not in ("mark", "speed", "ablate"))}


def options(command: Any) -> list[str]:
    return [param.name for param in command.params]


def test_every_command_with_a_model_has_the_whole_group() -> None:
    """One beside the other, and nothing of it anywhere else."""
    with_model = set()
    for words, command in all_commands().items():
        names = options(command)
        if "model" in names:
            with_model.add(" ".join(words))
            at = names.index("model")
            assert tuple(names[at : at + len(GROUP)]) == GROUP, words
        assert [names.count(one) for one in GROUP] == [int("model" in names)] * len(GROUP), words
    assert with_model >= ANSWERS | {"mark", "compress", "doctor", "heads discover", "steer fit", "steer export"}
    assert with_model >= {f"bench {name}" for name in BENCHES}


def test_every_command_that_answers_has_max_tokens() -> None:
    for words, command in all_commands().items():
        shown = [param.name for param in command.params if not getattr(param, "hidden", False)]
        assert ("max_tokens" in shown) == (" ".join(words) in ANSWERS), words
        assert not {"max_new_tokens", "tokens", "length"} & set(shown), words


MEASURES = (
    "clients",
    "dates",
    "facts",
    "first_hour",
    "instructions",
    "instructions.learned",
    "instructions.ngrams",
    "serving.prompt_cache",
    "small",
    "small.floor",
    "small.headings",
    "small_letters",
)


@pytest.mark.parametrize("name", MEASURES)
def test_every_measurement_of_the_lab_has_it_too(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = f"penchant_lab.{name}"
    monkeypatch.setattr("sys.argv", [module, "--help"])
    package = importlib.util.find_spec(module)
    assert package is not None
    main = importlib.import_module(f"{module}.__main__" if package.submodule_search_locations else module).main
    with pytest.raises(SystemExit):
        main()
    out = capsys.readouterr().out
    for one in GROUP:
        assert f"--{one.replace('_', '-')}" in out


def test_no_measurement_is_left_out() -> None:
    root = Path(penchant_lab.__file__).parent
    for path in root.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "ArgumentParser(" in text and "peers" not in path.parts:
            name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__main__")
            assert ("add_model_options(" in text) == (name in MEASURES), name
            assert '"--model"' not in text, name


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


def test_a_name_carries_how_it_is_loaded(home: Home, tmp_path: Path) -> None:
    name = ModelName(str(home.model), trust_remote_code=True)
    assert name == str(home.model) and name.adapter is None
    assert load_model(name).fingerprint == home.calibration.model_fingerprint
    own = shutil.copytree(home.model, tmp_path / "own")
    other = ModelName(**ModelName(str(own), dtype="bfloat16", adapter=Path("a")).payload())
    assert (other.dtype, other.adapter) == ("bfloat16", Path("a").absolute())
    other.adapter = None
    assert str(load_model(other).dtype) == "torch.bfloat16"
    assert str(load_model(other, dtype="float32").dtype) == "torch.float32"
