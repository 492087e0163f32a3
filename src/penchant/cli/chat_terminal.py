"""Typing and reading in `penchant chat`: turns of several lines, Ctrl-C, a line that says what is being waited for, and
answers that break at words."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import Self

from rich.cells import cell_len
from rich.console import Console
from rich.status import Status

from penchant.cli.output import stderr
from penchant.text.unicode import sanitize

BLOCK = '"""'
GOES_ON = "\\"
Line = Callable[[bool], str]
"""The next line; whether it goes on with a turn. Raises `EOFError`."""


def next_turn(line: Line) -> str:
    """What is entered next: a line, lines of which all but the last end in a backslash, or a block between triple
    quotes. Raises `EOFError` at the end."""
    text = line(False)
    if text.lstrip().startswith(BLOCK):
        said = _block(text.lstrip()[len(BLOCK) :], line)
        return f"/{said}" if said.startswith("/") else said  # a block is no command
    parts = []
    while text.endswith(GOES_ON):
        parts.append(text[: -len(GOES_ON)])
        text = _or_end(line)
    return "\n".join([*parts, text])


def _block(text: str, line: Line) -> str:
    parts = []
    while not text.rstrip().endswith(BLOCK):
        parts.append(text)
        try:
            text = line(True)
        except EOFError:
            return "\n".join(parts).strip("\n")
    return "\n".join([*parts, text.rstrip()[: -len(BLOCK)]]).strip("\n")


def _or_end(line: Line) -> str:
    try:
        return line(True)
    except EOFError:
        return ""


def piped(source: Iterable[str]) -> Line:
    """The lines of a file or a pipe."""
    lines = iter(source)

    def line(goes_on: bool) -> str:
        for text in lines:
            return text.removesuffix("\n").removesuffix("\r")
        raise EOFError

    return line


class Keyboard:
    """Lines as they are typed, with editing and a history. The history is in memory only: what a user says is kept in
    the store and nowhere else."""

    def __init__(self, words: Iterable[str]) -> None:
        """words: what the tab key completes at the beginning of a line."""
        self._pressed = self._goes_on = False
        self._readline = _readline()
        coloured = self._readline is not None and Console().color_system is not None
        # Between \001 and \002 stands what takes no room, or a long line would be broken at the wrong place.
        self._prompt = "\001\033[1;36m\002›\001\033[0m\002 " if coloured else "› "
        self._more = "\001\033[2m\002…\001\033[0m\002 " if coloured else "… "
        if self._readline is not None:
            self._readline.set_completer(_completer(words))
            self._readline.set_completer_delims(" ")
            self._readline.parse_and_bind("set enable-bracketed-paste on")  # a pasted text of several lines is one turn
            editline = "libedit" in (self._readline.__doc__ or "")
            self._readline.parse_and_bind("bind ^I rl_complete" if editline else "tab: complete")

    def line(self, goes_on: bool) -> str:
        self._goes_on = goes_on
        return input(self._more if goes_on else self._prompt)

    def turn(self) -> str | None:
        """What is entered next; None when the user leaves: Ctrl-D, or Ctrl-C twice on an empty line."""
        while True:
            try:
                text = next_turn(self.line)
                self._pressed = False
                return text
            except EOFError:
                sys.stdout.write("\n")
                return None
            except KeyboardInterrupt:
                empty = not self._goes_on and not (self._readline and self._readline.get_line_buffer())
                sys.stdout.write("\n")
                if self._pressed and empty:
                    return None
                self._pressed = True
                stderr.print("[dim]Ctrl-C once more, or Ctrl-D, ends the chat[/]")

    def answer(self, question: str) -> str:
        """The answer to a question; "" for Ctrl-C and Ctrl-D. It isn't put into the history."""
        if self._readline is not None:
            self._readline.set_auto_history(False)
        try:
            return input(question)
        except (EOFError, KeyboardInterrupt):
            sys.stdout.write("\n")
            return ""
        finally:
            if self._readline is not None:
                self._readline.set_auto_history(True)

    def forget(self) -> None:
        """Nothing that was typed can be brought back."""
        if self._readline is not None:
            self._readline.clear_history()


class Waiting:
    """One line on stderr that says what is being waited for (nothing where stderr is no terminal), and whether the
    user has asked to stop."""

    def __init__(self) -> None:
        self.asked_to_stop = False
        self._status: Status | None = None

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        if stderr.is_terminal:
            self._status = stderr.status("", spinner="dots")
            self._say(what)
            self._status.start()
        try:
            yield
        finally:
            self.over()

    def over(self) -> None:
        """Takes the line away: a line that is alive would overwrite what is printed."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def encoded(self, step: str, done: int, total: int | None) -> None:
        """For `Personalizer(progress=...)`. Raises `KeyboardInterrupt` once the user has asked to stop: between two
        batches nothing is lost."""
        self._say(f"reading what is new: {done:,} of {total:,}")
        if self.asked_to_stop:
            raise KeyboardInterrupt

    def stop(self) -> None:
        """The user asks to stop. Raises `KeyboardInterrupt` if that is not the first time."""
        if self.asked_to_stop:
            raise KeyboardInterrupt
        self.asked_to_stop = True
        self._say("stopping; Ctrl-C once more stops at once")

    def _say(self, what: str) -> None:
        if self._status is not None:
            self._status.update(f"[dim]{what}[/]")


@contextmanager
def stoppable(waiting: Waiting) -> Iterator[None]:
    """Inside, Ctrl-C asks to stop at the next piece, so that what is being written is written whole."""

    def pressed(number: int, frame: FrameType | None) -> None:
        waiting.stop()

    waiting.asked_to_stop = False
    before = signal.signal(signal.SIGINT, pressed)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        waiting.asked_to_stop = False


class Wrapped:
    """Text on stdout as it comes, broken between words: a word that reaches the edge of the terminal is taken to the
    next line. Text is written as it is where stdout is no terminal."""

    def __init__(self) -> None:
        self._column, self._word, self._any = 0, "", False
        self._wraps = sys.stdout.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._any:
            self.write("\n")

    def write(self, piece: str) -> None:
        text, self._any = sanitize(piece), True
        sys.stdout.write("".join(map(self._placed, text.expandtabs(4))) if self._wraps else text)
        sys.stdout.flush()

    def _placed(self, character: str) -> str:
        width = shutil.get_terminal_size().columns - 1  # in the last column a cursor's place isn't what it seems
        size = cell_len(character)
        if character == "\n":
            self._column, self._word = 0, ""
            return character
        self._column += size
        if character.isspace():
            self._word = ""
            return character if self._column <= width else ""
        fits = self._column <= width
        wide = size > 1  # of a script or a sign that breaks anywhere
        before, self._word = ("", "") if wide else (self._word, self._word + character)
        if fits:
            return character
        if wide:
            self._column = size
            return f"\n{character}"
        # What of the word is there already is taken back and written again on the next line, if it fits there.
        if cell_len(self._word) > width:
            before, self._word = "", character
        self._column = cell_len(self._word)
        there = cell_len(before)
        return "\b" * there + " " * there + "\n" + self._word


def _completer(words: Iterable[str]) -> Callable[[str, int], str | None]:
    known = sorted(words)

    def complete(text: str, place: int) -> str | None:
        found = [f"{word} " for word in known if text.startswith("/") and word.startswith(text)]
        return found[place] if place < len(found) else None

    return complete


def _readline() -> ModuleType | None:
    with contextlib.suppress(ImportError):  # not there on every platform: lines are then read without editing
        import readline

        return readline
    return None
