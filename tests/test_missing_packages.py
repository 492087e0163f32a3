"""A command that needs what isn't installed says so in one line, before a model is loaded."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

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
    assert "expected a file in a folder that exists" in penchant(*asked, "--html", tmp_path / name).reason()
