"""Typing at the prompt (`cli/chat_keyboard.py`): keys go in, turns come out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from penchant.cli.chat_keyboard import Keyboard

UP, ENTER, TAB, CTRL_C, CTRL_D = "\x1b[A", "\r", "\t", "\x03", "\x04"
PASTED = "\x1b[200~one\ntwo\x1b[201~"


@contextmanager
def keyboard() -> Iterator[tuple[Keyboard, Callable[[str], None]]]:
    """A keyboard, and how to press its keys."""
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        yield Keyboard(["/history", "/help", "/quit"]), pipe.send_text


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (f"Hello{ENTER}", "Hello"),
        (f"{PASTED}{ENTER}", "one\ntwo"),
        (f"one\\{ENTER}two{ENTER}", "one\ntwo"),
        (f"/hi{TAB}{ENTER}", "/history "),
        (f"hi{TAB}{ENTER}", "hi"),
        (CTRL_D, None),
        (CTRL_C * 2, None),
        (f"never said{CTRL_C}neither{CTRL_C}said{ENTER}", "said"),
    ],
)
def test_a_turn(keys: str, expected: str | None) -> None:
    with keyboard() as (typed, press):
        press(keys)
        assert typed.turn() == expected


def test_the_history_has_turns_and_no_answers_until_it_is_forgotten() -> None:
    with keyboard() as (typed, press):
        press(f"first{ENTER}")
        typed.turn()
        press(f"y{ENTER}")
        assert typed.answer("Sure? ") == "y"
        press(f"{UP}{ENTER}")
        assert typed.turn() == "first"
        typed.forget()
        press(f"{UP}new{ENTER}")
        assert typed.turn() == "new"


@pytest.mark.parametrize("key", [CTRL_C, CTRL_D])
def test_a_question_that_is_not_answered(key: str) -> None:
    with keyboard() as (typed, press):
        press(key)
        assert typed.answer("Sure? ") == ""
