"""What a command line imports before it works: torch and its like take seconds, and many commands need none of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from penchant import __version__
from penchant.cli import main
from penchant_lab.cli import app as bench
from tests.commands import Home, Invoke, all_commands, write_history

HEAVY = ("torch", "transformers", "scipy", "sklearn", "numpy", "matplotlib", "alembic", "penchant.inference")
STORE = ("sqlalchemy", "penchant.store")

PROGRAM = """
import json, sys
from penchant.cli.main import run
try:
    run()
except SystemExit as left:
    print(json.dumps([left.code or 0, sorted(sys.modules)]), file=sys.stderr)
"""


def imported(home: Home, *arguments: object, expected: int = 0) -> set[str]:
    """The modules that a command line imported, of those that a command may do without."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=home.environment,
        check=True,
    )
    code, modules = json.loads(ran.stderr.splitlines()[-1])
    assert code == expected, ran.stderr
    return {*HEAVY, *STORE} & set(modules)


HELP_PROGRAM = """
import json, sys
from penchant.cli.main import app
from typer.testing import CliRunner
heavy = set(json.loads(sys.argv[1]))
for line in sys.stdin:
    words = json.loads(line)
    ran = CliRunner().invoke(app, [*words, "--help"])
    assert ran.exit_code == 0 and "Usage:" in ran.output, (words, ran.output, ran.exception)
    print(json.dumps([words, sorted(heavy & set(sys.modules))]))
"""


def test_no_help_needs_a_model_or_a_store(home: Home) -> None:
    """Of every command, those of the bench included: in one process, so that it takes a second."""
    commands = sorted(all_commands())
    assert {("steer", "fit"), ("bench", "memory"), ("users", "show"), ("add",)} <= set(commands)
    ran = subprocess.run(
        [sys.executable, "-c", HELP_PROGRAM, json.dumps([*HEAVY, *STORE])],
        input="\n".join(map(json.dumps, commands)),
        capture_output=True,
        text=True,
        env=home.environment,
        check=True,
    )
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [words for words, _ in found] == [list(words) for words in commands]
    assert [(words, modules) for words, modules in found if modules] == []


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("ask", "--help"), ("steer", "fit", "--help")])
def test_help_needs_no_model_and_no_store(home: Home, arguments: tuple[str, ...]) -> None:
    assert imported(home, *arguments) == set()


@pytest.mark.slow
def test_the_store_is_filled_and_read_without_a_model(home: Home, penchant: Invoke, tmp_path: Path) -> None:
    history = write_history(tmp_path / "history.jsonl")
    for user in ("ann", "ben"):  # the first makes the store
        assert imported(home, "import", "jsonl", history, "--user", user) == set(STORE)
    for arguments in ([], ["show", "ann"], ["export", "ann"]):
        assert imported(home, "users", *arguments) == set(STORE)


@pytest.mark.parametrize(
    "wrong",
    [("--user", "nobody"), ("--history", "missing.jsonl"), ("--user", "nobody", "--marker", "nope"), ()],
    ids=["user", "file", "marker", "neither"],
)
def test_what_is_wrong_is_said_before_a_model_is_imported(home: Home, wrong: tuple[str, ...]) -> None:
    assert imported(home, "ask", "--request", "Who?", *wrong, expected=2) <= set(STORE)


def test_the_version(penchant: Invoke) -> None:
    assert penchant("--version").out == f"penchant {__version__}\n"
    assert __version__.count(".") >= 1


def test_each_line_of_the_help_is_the_commands_own() -> None:
    for app, about in ((main.app, main.ABOUT), (bench.bench_app, bench.ABOUT)):
        commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
        for name, line in about.items():
            assert (commands[name].help or "").startswith(line)
