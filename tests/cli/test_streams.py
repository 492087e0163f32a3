"""While a command runs, stdin and stdout are its own: libraries can neither print there nor ask there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from penchant.cli import streams
from penchant.cli.streams import NoInputError, guarded
from tests.commands import REQUEST, Home, write_history

LIBRARY = """
import ctypes, os, subprocess, sys
def prints():
    print("from print")
    sys.__stdout__.write("from the first stdout\\n")
    os.write(1, b"from a descriptor\\n")
    ctypes.CDLL(None).printf(b"from C\\n")
    subprocess.run([sys.executable, "-c", "print('from a process')"], check=True)
def asks():
    tries = (input, sys.stdin.read, sys.stdin.readline, lambda: list(sys.stdin), lambda: sys.stdin.buffer.read())
    for ask in tries:
        try:
            ask()
        except Exception as error:
            print(type(error).__name__)
        else:
            print("answered")
    print("descriptor 0 holds", os.read(0, 100))
    sys.__stdin__.close()
"""
PROGRAM = (
    LIBRARY
    + """
from penchant.cli import streams
print("before")
with streams.guarded():
    prints(), asks()
    with streams.guarded():
        streams.stdout().write("own " + streams.stdin().readline())
    prints()
    streams.stdout().write("own " + streams.stdin().read())
print("after")
prints()
"""
)
PRINTED = ["from print", "from the first stdout", "from a descriptor", "from C", "from a process"]


def test_what_a_library_prints_and_asks() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], input="one\ntwo\nthree\n", capture_output=True, text=True, check=True
    )
    lines = ran.stdout.splitlines()
    assert lines[:5] == ["before", "own one", "own two", "three", "after"]
    assert sorted(lines[5:]) == sorted(PRINTED)
    said = ran.stderr.splitlines()
    assert all(said.count(line) == 2 for line in PRINTED)
    assert said.count("NoInputError") == 5 and "answered" not in said
    assert "descriptor 0 holds b''" in said


def test_closed_streams_do_not_matter() -> None:
    program = "from penchant.cli import streams\nwith streams.guarded(): print('said'); streams.stdin()"
    closed = f"import os; os.close(0); os.close(1)\n{program}"
    ran = subprocess.run([sys.executable, "-c", closed], check=False, capture_output=True, text=True)
    assert ran.returncode == 0 and ran.stderr == "said\n"


def test_everything_is_undone(capfd: pytest.CaptureFixture[str]) -> None:
    before, descriptors = (sys.stdin, sys.stdout), len(list(Path("/dev/fd").iterdir()))
    with pytest.raises(ZeroDivisionError), guarded():
        assert sys.stdout is sys.stderr
        with pytest.raises(NoInputError, match="asked a question on stdin"):
            input("really? ")
        raise ZeroDivisionError
    assert (sys.stdin, sys.stdout) == before == (streams.stdin(), streams.stdout())
    assert len(list(Path("/dev/fd").iterdir())) == descriptors
    os.write(1, b"back")
    assert capfd.readouterr() == ("back", "really? ")


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    """An installed marker that prints and asks, in a folder for PYTHONPATH."""
    (tmp_path / "noisy.py").write_text(
        LIBRARY
        + """
def marker(resources):
    prints()
    def mark(history, request, segments):
        from penchant.marking.recency import recency
        prints(), asks()
        return recency()(history, request, segments)
    return mark
def asking(resources):
    return input("Do you agree? [y/N] ")
"""
    )
    info = tmp_path / "noisy-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: noisy\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[penchant.markers]\nnoisy = noisy:marker\nasking = noisy:asking\n")
    return tmp_path


def run(home: Home, noisy: Path, *arguments: object, said: str = "") -> tuple[int, str, str]:
    command = [sys.executable, "-m", "penchant", *map(str, arguments), "--model", str(home.model)]
    environment = {**home.environment, "PYTHONPATH": str(noisy)}
    ran = subprocess.run(command, input=said, capture_output=True, text=True, env=environment, check=False, timeout=120)
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.slow
def test_a_noisy_marker_leaves_the_document_alone(home: Home, noisy: Path, tmp_path: Path) -> None:
    history = write_history(tmp_path / "history.jsonl")
    asked = ("mark", "--history", history, "--request", REQUEST, "--json")
    code, out, err = run(home, noisy, *asked, "--marker", "noisy")
    assert code == 0, err
    assert len(json.loads(out)["segments"]) == 6
    assert all(err.splitlines().count(line) == 2 for line in PRINTED)
    code, out, err = run(home, noisy, *asked, "--marker", "asking", said="y\n")
    assert (code, out) == (1, "")
    assert err.startswith("Do you agree? [y/N] penchant: a library asked a question on stdin")


@pytest.mark.parametrize("package", ["penchant", "penchant_lab"])
def test_commands_print_through_their_own_streams(package: str) -> None:
    folder = Path(__file__).parents[2] / "src" / package / "cli"
    for file in folder.glob("*.py"):
        if file.name not in ("streams.py", "main.py", "output.py"):  # main and output: outside a command
            text = file.read_text(encoding="utf-8")
            assert not re.search(r"sys\.std(in|out)|\bConsole\(\)|\bprint\(", text.replace(".print(", "")), file
