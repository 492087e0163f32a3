"""A package of ten lines, installed beside Penchant, adds a marker and a command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands import REQUEST, Home, write_history

pytestmark = pytest.mark.slow

PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "penchant-longest"
version = "0.3"
[project.entry-points."penchant.markers"]
longest = "longest:make"
[project.entry-points."penchant.commands"]
greet = "longest:greet"
[tool.setuptools]
py-modules = ["longest"]
"""
MODULE = '''
def greet(name: str) -> None:
    """Say hello."""
    print("hello", name)
def make(resources):
    import numpy
    from penchant.marking.marks import Marks
    def mark(history, request, segments):
        return Marks(tuple(segments), numpy.array([len(s.text) for s in segments], "float32"), "longest")
    return mark
'''
TEXTS = ["short", "the longest of the three by far", "middling text"]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the package is installed in."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    (source / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    (source / "longest.py").write_text(MODULE, encoding="utf-8")
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", target, source], check=True)
    return target


@pytest.fixture
def run(installed: Path, home: Home) -> Run:
    """A command line in a process that finds the package."""

    def ran(*words: object) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "penchant", *map(str, words)]
        return subprocess.run(
            command, capture_output=True, text=True, env={**home.environment, "PYTHONPATH": path}, check=False
        )

    return ran


def test_its_command_is_listed_and_runs(run: Run) -> None:
    assert "\n  greet     Say hello.\n" in run("--help").stdout
    said = run("greet", "ann")
    assert (said.returncode, said.stdout, said.stderr) == (0, "hello ann\n", "")


def test_its_marker_marks(run: Run, home: Home, tmp_path: Path) -> None:
    history = write_history(tmp_path / "history.jsonl", TEXTS)
    asked = ("mark", "--history", history, "--request", REQUEST, "--model", home.model, "--json")
    ran = run(*asked, "--marker", "longest")
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert document["marker"] == "longest"
    assert [segment["score"] for segment in document["segments"]] == [float(len(text)) for text in TEXTS]
    unknown = run(*asked, "--marker", "shortest")
    assert unknown.returncode == 2 and "recency, random, longest, surprisal" in unknown.stderr
