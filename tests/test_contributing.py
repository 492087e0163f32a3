"""CONTRIBUTING.md is right about the code: the files and functions it names exist, and its marker can be added."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.test_docs import blocks

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "CONTRIBUTING.md"
TEXT = PAGE.read_text(encoding="utf-8")
LIFE = TEXT.partition("## The life of a request")[2].partition("\n## ")[0]


def test_the_page_opens_with_the_map_and_the_life_of_a_request_has_eight_steps() -> None:
    assert re.findall(r"^## (.+)$", TEXT, re.MULTILINE)[:2] == ["Map", "The life of a request"]
    assert re.findall(r"^(\d+)\. ", LIFE, re.MULTILINE) == [str(number) for number in range(1, 9)]


def test_every_function_of_the_life_of_a_request_is_in_its_file() -> None:
    named = re.findall(r"`([\w/]+\.py)`:\s+`([\w.]+)`", LIFE)
    assert len(named) >= 8
    for file, function in named:
        assert function in set(_definitions(ROOT / "src" / "penchant" / file)), f"{file}: no {function}"


def _definitions(file: Path) -> list[str]:
    kinds = (ast.FunctionDef, ast.ClassDef)
    body = [node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, kinds)]
    inner = [f"{node.name}.{one.name}" for node in body for one in node.body if isinstance(one, ast.FunctionDef)]
    return [node.name for node in body] + inner


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:src|tests|docs|benchmarks)/[\w./-]*)`", TEXT))))
def test_every_path_exists(path: str) -> None:
    known = re.sub(r"[^/]*(NAME|CODE)[^/]*$", "", path)
    assert (ROOT / known).exists(), path


def test_the_page_s_marker_is_found_and_used(tmp_path: Path) -> None:
    """The steps of "A marker": write the file, declare the entry point, install, use it by name."""
    files = {block.title: block.text for block in blocks(PAGE) if block.title}
    (tmp_path / "longest.py").write_text(files["longest.py"], encoding="utf-8")
    project = tomllib.loads(files["pyproject.toml"])["project"]
    # What pip makes of a pyproject.toml, without a build.
    metadata = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    lines = [f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"]
    (metadata / "METADATA").write_text("".join(lines), encoding="utf-8")
    points = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(points), encoding="utf-8")
    script = """
import json
from penchant.history import History, Record, Request, segment
from penchant.marking.registry import MARKERS, make_marker
history = History([Record("Short."), Record("A much longer record."), Record("A record.")])
marks = make_marker("longest", None)(history, Request("What?"), segment(history))
print(json.dumps({"names": list(MARKERS), "ranked": marks.ranked().tolist(), "marker": marks.marker}))
"""
    environment = {"PYTHONPATH": f"{tmp_path}", "PATH": ""}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert "longest" in found["names"] and found["marker"] == "longest"
    assert found["ranked"] == [1, 2, 0]


def test_every_group_of_entry_points_is_in_the_table() -> None:
    groups = set()
    for file in (ROOT / "src").rglob("*.py"):
        groups |= set(re.findall(r'"(penchant\.[a-z]+)",\n? *\{', file.read_text(encoding="utf-8")))
    assert len(groups) >= 8
    table = re.findall(r"^\| [a-z ]+ \|.*\| `(penchant\.\w+)` \|$", TEXT, re.MULTILINE)
    assert set(table) == groups
