"""The command line as a whole: what there is, exit codes, the script, Ctrl-C."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import penchant as package
from tests.commands import REQUEST, TEXTS, Home, Invoke, finished, process, write_history
from tests.demo.test_run import take_small_samples
from tests.warm_process import WarmProcess

COMMANDS = ("demo", "import", "users", "mark", "compress", "ask", "chat", "heads", "doctor")


def test_the_script_is_installed_and_lists_every_command(home: Home) -> None:
    script = Path(sys.executable).with_name("penchant")
    done = subprocess.run([script, "--help"], capture_output=True, text=True, env=home.environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for command in COMMANDS:
        assert f" {command} " in done.stdout


@pytest.mark.parametrize("command", [*((name,) for name in COMMANDS), ("heads", "discover"), ("users", "forget")])
def test_every_command_has_help(penchant: Invoke, command: tuple[str, ...]) -> None:
    ran = penchant(*command, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert "Usage: " in ran.out


def test_no_command_and_unknown_ones(penchant: Invoke) -> None:
    assert "Usage: " in "".join((penchant().out, penchant().err))
    assert "No such command 'remember'" in penchant("remember").reason()
    assert "--request" in penchant("mark", "--user", "ann").reason()


def test_verbose_goes_to_stderr(penchant: Invoke, tmp_path: Path) -> None:
    path = write_history(tmp_path / "history.jsonl")
    asked = ("mark", "--model", "{model}", "--history", path, "--request", REQUEST, "--json")
    assert penchant("--verbose", *asked).document["segments"]


def test_ctrl_c_while_it_starts_is_one_line(home: Home) -> None:
    # A first import that takes for ever stands for torch's seconds: the signal is sent when it is known to have begun.
    program = (
        "import sys, time\n"
        "class Slow:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'penchant.cli.main':\n"
        "            print('importing', flush=True)\n"
        "            time.sleep(60)\n"
        "sys.meta_path.insert(0, Slow())\n"
        "from penchant.__main__ import run; run()"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=home.environment
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "importing\n"
    running.send_signal(signal.SIGINT)
    ran = finished(running)
    assert (ran.code, ran.out) == (130, "")
    assert ran.err == "penchant: interrupted before anything was done\n"


@pytest.mark.slow
def test_ctrl_c_while_encoding_keeps_what_was_written_and_the_next_run_goes_on(
    home: Home, penchant: Invoke, tmp_path: Path
) -> None:
    path = write_history(tmp_path / "history.jsonl", [f"{TEXTS[i % 6]} {i}" for i in range(4_500)])
    asked = ("mark", "--model", home.model, "--history", path, "--request", REQUEST, "--marker", "attention", "--json")
    running = process(home, *asked)
    deadline = time.monotonic() + 120
    while not list(home.cache.glob("indexes/*/*/manifest.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    ran = finished(running)
    assert (ran.code, ran.out) == (130, "")
    assert ran.err == "penchant: interrupted; everything that was acknowledged is kept\n"
    resumed, warm = penchant(*asked), penchant(*asked)
    assert resumed.err == ""
    request = warm.document["tokens_fed"]
    fed = resumed.document["tokens_fed"] - request
    assert 0 < fed < resumed.document["history_tokens"]
    untouched = write_history(tmp_path / "other.jsonl", [f"{TEXTS[i % 6]} {i}" for i in range(4_500)])
    anew = penchant(*(untouched if part == path else part for part in asked)).document
    assert anew["tokens_fed"] == anew["history_tokens"] + request
    ours = [segment["score"] for segment in resumed.document["segments"]]
    assert ours == pytest.approx([segment["score"] for segment in anew["segments"]], abs=1e-3)


@pytest.mark.slow
def test_the_demo_draws_no_panel_behind_its_bar(home: Home) -> None:
    """Both streams on one terminal, as nearly always: what is printed begins on a line of its own."""
    ours, theirs = pty.openpty()
    asked = ("demo", "--model", home.model, "--requests", "1", "--budget", "40")
    environment = {**home.environment, "COLUMNS": "100", "TERM": "xterm"}
    running = WarmProcess(asked, environment, stdout=theirs, stderr=theirs, first=take_small_samples)
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(ours, 4096):
            seen += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert finished(running).code == 0, seen.decode()
    lines = rendered(seen.decode())
    panels = [line for line in lines if "Where do I walk?" in line]
    assert len(panels) == 2
    assert all(line.startswith("╭") for line in panels), lines
    assert any("Answering" in line for line in seen.decode().splitlines())
    assert not any("Answering" in line for line in lines)


def rendered(stream: str) -> list[str]:
    """What a terminal shows in the end: carriage returns, lines cleared, cursor up; colours are left out."""
    lines, row, column, i = [""], 0, 0, 0
    while i < len(stream):
        character = stream[i]
        if stream.startswith("\x1b[", i):
            end = i + 2
            while not stream[end].isalpha():
                end += 1
            if stream[end] == "K":
                lines[row], column = "", 0
            elif stream[end] == "A":
                row = max(0, row - int(stream[i + 2 : end] or 1))
            i = end
        elif character == "\r":
            column = 0
        elif character == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        else:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + character + line[column + 1 :]
            column += 1
        i += 1
    return lines


def test_no_line_is_wrapped_into_a_file(home: Home, tmp_path: Path) -> None:
    history = write_history(tmp_path / "history.jsonl")
    script = Path(sys.executable).with_name("penchant")
    asked = [script, "compress", REQUEST, "--history", history, "--model", home.model, "--budget", "40"]
    done = subprocess.run(
        asked, capture_output=True, text=True, env={**home.environment, "COLUMNS": "40"}, check=True, cwd=tmp_path
    )
    assert [line for line in done.stderr.splitlines() if "segments, marker" in line and line.endswith(" s")], (
        done.stderr
    )


def test_help_names_every_variable_that_is_read(penchant: Invoke) -> None:
    sources = Path(package.__file__).parent.rglob("*.py")
    read = {name for path in sources for name in re.findall(r'"(PENCHANT_[A-Z_]+)"', path.read_text(encoding="utf-8"))}
    assert {"PENCHANT_STORE", "PENCHANT_ENDPOINT_MODEL"} <= read
    said = penchant("--help").out
    assert [name for name in sorted(read) if f" {name} " not in said] == []
