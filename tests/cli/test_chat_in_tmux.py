"""`penchant chat` in a real terminal: what is typed, what is seen, and what is left after Ctrl-C and kill -9."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penchant.store import Store
from tests.commands import Home
from tests.terminal import Terminal, needs_tmux, terminal

pytestmark = [pytest.mark.terminal, needs_tmux]
SLOW = """
import sys, time
from pathlib import Path
from penchant.inference import generation
held, after, pick, made = Path(sys.argv.pop(1)), int(sys.argv.pop(1)), generation.pick, 0
def waiting(*given):
    global made
    made += 1
    while held.exists() and made > after:
        time.sleep(0.01)
    return pick(*given)
generation.pick = waiting
from penchant.__main__ import run
run()
"""
"""Penchant, whose model waits while a file exists, once it has made some tokens: an answer can be looked at, stopped
and killed in its middle."""


@contextmanager
def chat(home: Home, folder: Path, *options: str, after: int = 0, width: int = 80) -> Iterator[Terminal]:
    said = ["chat", "--user", "ann", "--model", str(home.model), "--max-tokens", "24", "--budget", "400", *options]
    command = [sys.executable, "-c", SLOW, str(folder / "held"), str(after), *said]
    with terminal(command, home.environment, folder, width=width) as shown:
        shown.wait("›")
        yield shown


def in_the_middle(said: str) -> Callable[[str], bool]:
    """Whether some of the answer is on the screen: something that isn't the line of what is waited for."""

    def answering(screen: str) -> bool:
        _, found, below = screen.rpartition(said)
        return bool(found and below.strip()) and not any(sign in below for sign in ("thinking", "reading", "stopping"))

    return answering


def under(line: str, sign: str) -> Callable[[str], bool]:
    """Whether something is on the screen under the last line of that text."""

    def there(screen: str) -> bool:
        _, found, below = screen.rpartition(line)
        return bool(found) and sign in " ".join(below.split())

    return there


def answers(home: Home) -> list[tuple[str, str | None]]:
    with Store(home.store) as store:
        (entry,) = store.conversations.list("ann")
        return [(turn.text, turn.finish) for turn in store.conversations.turns("ann", entry.id)]


def test_a_conversation(home: Home, tmp_path: Path) -> None:
    with chat(home, tmp_path, "--name", "tea") as shown:
        shown.enter("Always answer in one sentence.")
        shown.wait("+ instruction: Always answer in one sentence.")
        first = shown.wait("of 400 tokens")
        assert first.index("› Always answer") < first.index("+ instruction") < first.index("of 400 tokens")
        # Wide characters, and a typing mistake that is taken back.
        shown.type("I live in 東京 🍳 with Ännax")
        shown.keys("BSpace", "Enter")
        shown.wait(lambda screen: screen.count("of 400 tokens") == 2)
        shown.enter("/instructions edit 1 Always answer in Dutch.")
        shown.wait("- Always answer in one sentence.")
        shown.enter("/instructions all")
        listed = shown.wait(under("/instructions all", "by “Always answer in Dutch.”"))
        listed = listed.rpartition("/instructions all")[2]
        assert listed.index("1  Always answer in Dutch.") < listed.index("in turn 0 · ended")
        shown.resize(60, 24)
        shown.enter("/why")
        why = shown.wait(under("seconds  ", "answer")).rpartition("/why")[2]
        assert why.index("1  Always answer in") < why.index("past exchanges") < why.index("notes from the history")
        assert max(map(len, shown.lines())) <= 60
        shown.keys("Up", "Up", "Up", "Up")  # the history of this session, not of any other
        shown.wait(lambda screen: screen.rstrip().endswith("› I live in 東京 🍳 with Änna"))
        shown.keys("C-c")
        shown.wait("press Ctrl-C again, or Ctrl-D, to end the chat")
        shown.enter("/forget 2")
        shown.wait("Erase turn 2")
        shown.enter("y")
        shown.wait("erased: 2 turns (2, 3), 0 instructions, 1 record")
        shown.keys("Up", "Up")
        shown.enter("/history")  # nothing of it can be typed again
        history = shown.wait(under("/history", "1 ")).rpartition("erased:")[2]
        assert "東京" not in history
        shown.keys("C-d")
        assert shown.left() == 0
        assert "Traceback" not in shown.screen()
    assert len(answers(home)) == 2


def test_a_text_of_several_lines_is_one_turn(home: Home, tmp_path: Path) -> None:
    with chat(home, tmp_path, "--max-tokens", "2") as shown:
        shown.enter('"""')
        shown.wait("…")
        shown.enter("/quit is not said here,")
        shown.enter('and this is the end."""')
        shown.wait(lambda screen: screen.count("of 400 tokens") == 1)
        shown.enter("One line\\")
        shown.enter("and another")
        shown.wait(lambda screen: screen.count("of 400 tokens") == 2)
        shown.paste("pasted\ntogether")
        shown.keys("Enter")
        shown.wait(lambda screen: screen.count("of 400 tokens") == 3)
        shown.enter("/quit")
        assert shown.left() == 0
    said = [text for text, _ in answers(home)]
    assert said[::2] == ["/quit is not said here,\nand this is the end.", "One line\nand another", "pasted\ntogether"]


def test_ctrl_c_stops_an_answer_and_nothing_else(home: Home, tmp_path: Path) -> None:
    held = tmp_path / "held"
    held.touch()
    with chat(home, tmp_path, after=8) as shown:
        shown.enter("Tell me something long.")
        shown.wait(in_the_middle("something long."))
        shown.keys("C-c")
        shown.wait("^C")
        held.unlink()
        shown.wait("stopped; what was said is kept")
        shown.enter("/history")
        shown.wait("(stopped)")
        ((_, _), (part, finish)) = answers(home)
        assert finish == "interrupted"
        assert part
        shown.enter("/why")
        shown.wait("there is none yet")
        shown.enter("/retry")
        shown.wait("of 400 tokens")
        shown.enter("And now?")
        shown.wait(lambda screen: screen.count("of 400 tokens") == 2)
        shown.type("never said")
        shown.keys("C-c")
        shown.wait("press Ctrl-C again")
        shown.type("neither was this")
        shown.keys("C-c")
        shown.wait(lambda screen: screen.count("press Ctrl-C again") == 2)
        shown.keys("C-c")
        assert shown.left() == 0
        assert "Traceback" not in shown.screen()
    turns = answers(home)
    assert [finish == "interrupted" for _, finish in turns] == [False, True, False, False, False]
    assert turns[2][0].startswith(part)
    assert turns[3][0] == "And now?"


def test_ctrl_c_twice_before_the_first_word(home: Home, tmp_path: Path) -> None:
    held = tmp_path / "held"
    held.touch()
    with chat(home, tmp_path) as shown:
        shown.enter("Tell me something.")
        shown.wait("thinking")
        began = time.monotonic()
        while not answers(home):  # the turn is kept before it is answered
            assert time.monotonic() - began < 60
            time.sleep(0.05)
        shown.keys("C-c")
        shown.wait("stopping")
        shown.keys("C-c")  # at once, although the model never goes on
        shown.wait("stopped before the answer began; /retry asks again")
        held.unlink()
        shown.enter("/retry")
        shown.wait("of 400 tokens")
        shown.keys("C-d")
        assert shown.left() == 0
        assert "Traceback" not in shown.screen()
    assert answers(home)[0] == ("Tell me something.", None)
    assert len(answers(home)) == 2


def test_after_kill_9_the_turn_is_there_and_the_answer_is_missing(home: Home, tmp_path: Path) -> None:
    held = tmp_path / "held"
    held.touch()
    with chat(home, tmp_path, after=8) as shown:
        shown.enter("From now on, answer in French.")
        shown.wait(in_the_middle("in French."))
        os.kill(shown.process, signal.SIGKILL)
        assert shown.left() == 128 + signal.SIGKILL
    held.unlink()
    assert answers(home) == [("From now on, answer in French.", None)]
    with chat(home, tmp_path, "--resume") as shown:
        shown.wait("the answer to turn 0 is missing; /retry answers it now")
        shown.wait("(the answer is missing)")
        shown.enter("/instructions")
        shown.wait("turn 0")
        shown.enter("/retry")
        shown.wait("of 400 tokens")
        shown.enter("/history")
        shown.wait(under("/history", "1 "))
        assert "missing" not in shown.screen().rpartition("/history")[2]
        shown.keys("C-d")
        assert shown.left() == 0
    assert len(answers(home)) == 2
