"""Turns and answers in `penchant chat`: turns of several lines, Ctrl-C, a progress line, and answers wrapped between
words.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

from rich.cells import cell_len
from rich.status import Status

from penchant.cancellation import cancelled_by
from penchant.cli.output import stderr
from penchant.cli.streams import columns, stdout
from penchant.text.unicode import sanitize

BLOCK = '"""'
CONTINUES = "\\"
Line = Callable[[bool], str]
"""Returns the next line; called with whether it continues a turn. Raises `EOFError` at the end."""


def next_turn(line: Line) -> str:
    """Return the next turn: one line, several lines (all but the last end in a backslash), or a block between triple
    quotes. Raises `EOFError` at the end.
    """
    text = line(False)
    if text.lstrip().startswith(BLOCK):
        said = _block(text.lstrip()[len(BLOCK) :], line)
        return f"/{said}" if said.startswith("/") else said  # a block is never a command
    parts = []
    while text.endswith(CONTINUES):
        parts.append(text[: -len(CONTINUES)])
        text = _next_or_end(line)
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


def _next_or_end(line: Line) -> str:
    try:
        return line(True)
    except EOFError:
        return ""


def piped(source: Iterable[str]) -> Line:
    """The lines of a file or a pipe."""
    lines = iter(source)

    def line(continues: bool) -> str:
        for text in lines:
            return text.removesuffix("\n").removesuffix("\r")
        raise EOFError

    return line


class Waiting:
    """A line on stderr that says what the user is waiting for (none if stderr isn't a terminal), and whether the user
    has asked to stop.
    """

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
        """Remove the line: while it is live it would overwrite other output."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def encoded(self, step: str, done: int, total: int | None) -> None:
        """Callback for `Personalizer(progress=...)`. Raises `KeyboardInterrupt` if the user has asked to stop: between
        two batches nothing is lost.
        """
        self._say(f"reading new records: {done:,}" + ("" if total is None else f" of {total:,}"))
        self.check()

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if the user has asked to stop, where nothing is lost by that."""
        if self.asked_to_stop:
            raise KeyboardInterrupt

    def stop(self) -> None:
        """Note that the user asks to stop. Raises `KeyboardInterrupt` if that is not the first time."""
        if self.asked_to_stop:
            raise KeyboardInterrupt
        self.asked_to_stop = True
        self._say("stopping; press Ctrl-C again to stop at once")

    def _say(self, what: str) -> None:
        if self._status is not None:
            self._status.update(f"[dim]{what}[/]")


@contextmanager
def stoppable(waiting: Waiting) -> Iterator[None]:
    """Within this context, Ctrl-C asks to stop at the next piece, so that the current write is completed; waiting for
    an endpoint ends at once.
    """

    def pressed(number: int, frame: FrameType | None) -> None:
        waiting.stop()

    waiting.asked_to_stop = False
    before = signal.signal(signal.SIGINT, pressed)
    try:
        with cancelled_by(waiting.check):
            yield
    finally:
        signal.signal(signal.SIGINT, before)
        waiting.asked_to_stop = False


class Wrapped:
    """Writes text to stdout as it is generated, wrapped between words: a word that reaches the edge of the terminal
    moves to the next line. If stdout isn't a terminal, text is written unchanged.
    """

    def __init__(self) -> None:
        self._column, self._word, self._any = 0, "", False
        self._wraps = stdout().isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._any:
            self.write("\n")

    def write(self, piece: str) -> None:
        text, self._any = sanitize(piece), True
        stdout().write("".join(map(self._placed, text.expandtabs(4))) if self._wraps else text)
        stdout().flush()

    def _placed(self, character: str) -> str:
        width = columns() - 1  # in the last column terminals report the cursor's position differently
        size = cell_len(character)
        if character == "\n":
            self._column, self._word = 0, ""
            return character
        self._column += size
        if character.isspace():
            self._word = ""
            return character if self._column <= width else ""
        fits = self._column <= width
        wide = size > 1  # a script that can be broken anywhere, or a symbol
        before, self._word = ("", "") if wide else (self._word, self._word + character)
        if fits:
            return character
        if wide:
            self._column = size
            return f"\n{character}"
        # The part of the word already written is erased and written again on the next line, if it fits there.
        if cell_len(self._word) > width:
            before, self._word = "", character
        self._column = cell_len(self._word)
        there = cell_len(before)
        return "\b" * there + " " * there + "\n" + self._word
