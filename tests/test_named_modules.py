"""Commands that pages, messages, the Makefile and CI spell out: the modules that they run exist."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("src", "docs", "benchmarks", ".ci", ".github")
KINDS = {".py", ".md", ".toml", ".txt", ".json", ".yml", ".yaml", ".sh", ""}
MODULE = re.compile(r"python(?:3|\.exe)?\"?,? \"?-m\"?,? \"?([A-Za-z_][\w.]*\w)")


def texts() -> list[tuple[str, str]]:
    """Files that may name a command, and what is in them; not results, whose commands are those of their day."""
    found = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml")]
    for folder in FOLDERS:
        found += sorted(file for file in (ROOT / folder).rglob("*") if file.is_file() and file.suffix in KINDS)
    names = [(file.relative_to(ROOT).as_posix(), file) for file in found]

    return [
        (name, file.read_text(encoding="utf-8"))
        for name, file in names
        if not name.startswith("benchmarks/results/") and not {"__pycache__", ".venv"} & set(file.parts)
    ]


@pytest.fixture(scope="module")
def named() -> dict[str, list[str]]:
    """Module to the files that run it."""
    found: dict[str, list[str]] = {}
    for name, text in texts():
        for module in MODULE.findall(text):
            found.setdefault(module.rstrip("."), []).append(name)
    return found


def test_modules_that_are_run_exist(named: dict[str, list[str]]) -> None:
    missing = {module: files for module, files in named.items() if not runs(module)}
    assert missing == {}


def runs(module: str) -> bool:
    """Whether `python -m` can run it: a package needs a `__main__`."""
    try:
        spec = find_spec(module)
        return spec is not None and (
            spec.submodule_search_locations is None or find_spec(f"{module}.__main__") is not None
        )
    except ModuleNotFoundError:
        return False


def test_the_lab_is_among_them(named: dict[str, list[str]]) -> None:
    assert {"Makefile", "src/penchant_lab/peers/client.py", "docs/guides/bench.md"} <= set(named["penchant_lab.peers"])
    assert not runs("penchant_lab.rivals")
    assert not runs("penchant_lab.tasks")  # a package that can't be run
