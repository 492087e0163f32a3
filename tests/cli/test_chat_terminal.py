"""What is typed becomes turns, and answers break at words (`cli/chat_terminal.py`)."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from penchant.cli.chat_terminal import Wrapped, next_turn, piped


def turns(*lines: str) -> list[str]:
    line, found = piped(f"{text}\n" for text in lines), []
    while True:
        try:
            found.append(next_turn(line))
        except EOFError:
            return found


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["one", "", "two "], ["one", "", "two "]),
        (["one\\", "two\\", "three", "four"], ["one\ntwo\nthree", "four"]),
        (["one\\"], ["one\n"]),
        (['"""', "one", "", "two", '"""', "three"], ["one\n\ntwo", "three"]),
        (['"""one', 'two"""', "three"], ["one\ntwo", "three"]),
        (['"""one"""'], ["one"]),
        (['"""/quit"""', "/quit"], ["//quit", "/quit"]),
        (['"""', "one \\", "two"], ["one \\\ntwo"]),
        (['"""'], [""]),
        ([], []),
    ],
)
def test_next_turn(lines: list[str], expected: list[str]) -> None:
    assert turns(*lines) == expected


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(written: str) -> list[str]:
    """What a terminal without an edge shows: a backspace goes back, and what stands there is written over."""
    lines: list[list[str]] = [[]]
    column = 0
    for character in written:
        line = lines[-1]
        if character == "\b":
            column -= 1
        elif character == "\n":
            lines.append([])
            column = 0
        else:
            line[column : column + 1] = [character]
            column += 1
    return ["".join(line) for line in lines]


@given(st.text(alphabet="ab c\nd", max_size=120), st.integers(4, 20), st.integers(1, 7))
def test_words_are_not_cut(text: str, width: int, step: int) -> None:
    lines = shown(wrapped([text[at : at + step] for at in range(0, len(text), step)], width))
    assert all(len(line.rstrip()) < width for line in lines)
    if all(len(word) < width for word in text.split()):
        assert " ".join(lines).split() == text.split()
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(st.text(alphabet="東京 a語🙂", max_size=60), st.integers(4, 20))
def test_wide_characters_stay_inside(text: str, width: int) -> None:
    lines = shown_wide(wrapped(list(text), width))
    assert all(cell_len(line.rstrip()) < width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def shown_wide(written: str) -> list[str]:
    lines: list[str] = [""]
    for character in written:
        if character == "\b":
            lines[-1] = lines[-1][:-1]
        elif character == "\n":
            lines.append("")
        else:
            lines[-1] += character
    return lines


def wrapped(pieces: Iterable[str], width: int) -> str:
    screen = Screen()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        patch.setattr(sys, "stdout", screen)
        writer = Wrapped()
        for piece in pieces:
            writer.write(piece)
    return screen.getvalue()


def test_a_pipe_gets_the_text_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("COLUMNS", "10")
    with Wrapped() as writer:
        writer.write("a line that is longer than ten\tcolumns")
        writer.write(" \x1b[31mred")
    assert out.getvalue() == "a line that is longer than ten\tcolumns  [31mred\n"


def test_nothing_is_written_for_an_answer_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    with Wrapped():
        pass
    assert out.getvalue() == ""
