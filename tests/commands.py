"""Command lines as a user runs them: in this process (fast) or as a process of their own, in a home of their own."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import typer

from penchant.lens.calibration import Calibration, save_calibration
from penchant.models.loading import load_model
from tests.families import save_tiny
from tests.shared_models import share
from tests.warm_process import WarmProcess

TEXTS = (
    "I am allergic to peanuts and I like long walks by the sea.",
    "The meeting is on Tuesday at ten, please bring the report.",
    "She wrote three letters about the film and the cooking.",
    "What should I read next? Something short, and not too sad.",
    "My bicycle is green and it stands in the cellar.",
    "We walked to the lighthouse, and the wind took my hat.",
)
REQUEST = "Where do I like to walk?"


@dataclass(frozen=True)
class Ran:
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout; anything beside it fails."""
        assert self.code == 0, self
        assert self.out.endswith("\n"), self
        assert self.out.count("\n") == 1, self
        document: dict[str, Any] = json.loads(self.out)
        return document

    def reason(self, code: int = 2) -> str:
        """The one line that an error is."""
        assert (self.code, self.out) == (code, ""), self
        assert self.err.startswith("penchant: "), self
        assert self.err.count("\n") == 1, self
        return self.err


@dataclass(frozen=True)
class Home:
    """A tiny model in a directory, and a cache that holds its calibration and nothing else."""

    model: Path
    cache: Path
    store: Path
    calibration: Calibration

    @property
    def environment(self) -> dict[str, str]:
        own = {"PENCHANT_CACHE": str(self.cache), "PENCHANT_STORE": str(self.store), "OMP_NUM_THREADS": "1"}
        return {**os.environ, **own}


Invoke = Callable[..., Ran]


@pytest.fixture(scope="session")
def tiny_directory(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Calibration]:
    """A tiny llama as a directory, and a calibration for it."""
    path = save_tiny("llama", tmp_path_factory.mktemp("models") / "tiny-llama")
    share(path)
    loaded = load_model(path)
    made = Calibration(loaded.name, loaded.fingerprint, ((1, 2), (2, 0)), (1.0, 0.5), prefix="<|user|>")
    return path, made


@pytest.fixture
def home(tiny_directory: tuple[Path, Calibration], tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Home]:
    model, calibration = tiny_directory
    made = Home(model, tmp_path / "cache", tmp_path / "store", calibration)
    save_calibration(calibration, made.cache / "calibrations" / "tiny.json")
    yield made
    if request.node.get_closest_marker("model") is None:
        assert not (made.cache / "models").exists(), "a real model was loaded by a test without the marker `model`"


@pytest.fixture
def penchant(home: Home, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Invoke]:
    """Runs a command line in this process. `{model}` in an argument is the tiny model's directory."""
    from penchant.cli.main import app
    from penchant.cli.output import run

    for name in ("PENCHANT_CACHE", "PENCHANT_STORE"):
        monkeypatch.setenv(name, home.environment[name])
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def invoke(*arguments: object, stdin: str = "") -> Ran:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["penchant", *(str(a).replace("{model}", str(home.model)) for a in arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as left:
            run(app)
        code = left.value.code
        assert isinstance(code, int)
        return Ran(code, *capfd.readouterr())

    yield invoke
    root.handlers[:] = handlers
    root.setLevel(level)


def process(home: Home, *arguments: object, **options: Any) -> WarmProcess:
    """The same in a process of its own. options: see `WarmProcess`."""
    return WarmProcess(arguments, home.environment, **options)


def finished(running: subprocess.Popen[str] | WarmProcess, timeout: float = 120) -> Ran:
    out, err = running.communicate(timeout=timeout)
    assert running.returncode is not None
    return Ran(running.returncode, out, err)


def write_history(path: Path, texts: Iterable[str] = TEXTS) -> Path:
    """A history file, one record a day, ids r0, r1, ..."""
    lines = [
        {"id": f"r{i}", "text": text, "when": f"{2000 + i // 300}-{i // 25 % 12 + 1:02}-{i % 25 + 1:02}"}
        for i, text in enumerate(texts)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def all_commands() -> dict[tuple[str, ...], Any]:
    """Every command of the command line by its words, groups included, as click has them."""
    from penchant.cli.main import app

    found: dict[tuple[str, ...], Any] = {}

    def walk(command: Any, words: tuple[str, ...]) -> None:
        found[words] = command
        below = getattr(command, "commands", {})
        for name in below:
            walk(below[name], (*words, name))

    walk(typer.main.get_command(app), ())
    return found


def moved(home: Home, **changes: Path) -> Home:
    return replace(home, **changes)
