"""A command that needs what isn't installed says so in one line, before a model is loaded."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest

from penchant.cli.output import run_and_exit
from penchant.errors import InputError
from penchant.extras import imported
from tests.commands import REQUEST, Invoke, write_history

NONE = ("--model", "/no/such/model")
"""Loading it is refused, with another reason."""
PLOTS = (
    (("heads", "discover", *NONE, "--plot", "{out}.svg"), "a plot needs matplotlib"),
    (("steer", "fit", "--history", "{history}", *NONE, "--plot", "{out}.svg"), "a plot needs matplotlib"),
    (("bench",), "`penchant bench` needs matplotlib"),
    (
        ("bench", "mark", "--task", "locomo", "--data", "{out}", "--out", "{out}", *NONE),
        "`penchant bench` needs matplotlib",
    ),
    (("bench", "ablate", "--data", "{out}", "--out", "{out}", *NONE), "`penchant bench` needs matplotlib"),
    (("bench", "speed", "--out", "{out}", *NONE), "`penchant bench` needs matplotlib"),
)
OTHERS = (("sklearn", "scikit-learn"), ("nltk", "nltk"))


@pytest.mark.parametrize(("words", "said"), PLOTS)
def test_without_matplotlib(
    penchant: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    history = write_history(tmp_path / "history.jsonl")
    reason = penchant(*(word.format(out=tmp_path / "out", history=history) for word in words)).reason()
    assert said in reason and "pip install 'penchant[bench]'" in reason


@pytest.mark.parametrize(("module", "package"), OTHERS)
def test_the_bench_without_the_rest_of_its_extra(
    penchant: Invoke, monkeypatch: pytest.MonkeyPatch, module: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert f"`penchant bench` needs {package}, not installed here" in penchant("bench", "mark", "--help").reason()


@pytest.mark.parametrize("name", ["no/such/folder/page.html", "."])
@pytest.mark.parametrize("words", [("mark", "--history", "{history}", "--request", REQUEST, *NONE), ("demo", *NONE)])
def test_a_page_that_can_not_be_written(penchant: Invoke, tmp_path: Path, words: tuple[str, ...], name: str) -> None:
    history = write_history(tmp_path / "history.jsonl")
    asked = [word.format(history=history) for word in words]
    assert "expected a file in a folder that can be written" in penchant(*asked, "--html", tmp_path / name).reason()


def program(module: str, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit code of `python -m penchant_lab.MODULE`, run in this process."""
    monkeypatch.setattr(sys, "argv", [module, *words])
    with pytest.raises(SystemExit) as left:
        run_and_exit(import_module(f"penchant_lab.{module}").main)
    return int(str(left.value.code))


@pytest.mark.parametrize("words", [("instructions.__main__", "--fit"), ("instructions.learned",)])
def test_fitting_without_scikit_learn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    module, *options = words
    import_module(f"penchant_lab.{module}")
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert program(module, monkeypatch, *options, *NONE, "--out", str(tmp_path)) == 2
    said = capsys.readouterr().err
    assert "needs scikit-learn, not installed here: pip install 'penchant[bench]'" in said and said.count("\n") == 1


@pytest.mark.parametrize("name", ["facts.__main__", "instructions.__main__", "instructions.identifying"])
def test_results_that_can_not_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert program(name, monkeypatch, "--out", str(tmp_path / "file")) == 2
    said = capsys.readouterr().err
    assert "expected a folder; see --out" in said and said.count("\n") == 1


ADAPTERS = (("langchain", "langchain_core", "langchain"), ("llama_index", "llama_index", "llama-index"))


@pytest.mark.parametrize(("adapter", "module", "extra"), [*ADAPTERS, ("llm", "llm", "llm")])
def test_an_adapter_without_its_package(monkeypatch: pytest.MonkeyPatch, adapter: str, module: str, extra: str) -> None:
    for name in [one for one in sys.modules if one.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"penchant.integrations.{adapter}", raising=False)
    with pytest.raises(InputError) as caught:
        import_module(f"penchant.integrations.{adapter}")
    expected = f"penchant.integrations.{adapter} needs {module}, not installed here: pip install 'penchant[{extra}]'"
    assert str(caught.value) == expected


def test_an_error_inside_a_package_is_its_own() -> None:
    with pytest.raises(ModuleNotFoundError), imported("llm", extra="llm", why="a test"):
        import_module("no_such_part_of_it")
