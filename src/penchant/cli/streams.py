"""The standard streams while a command runs: they are the command's alone. What a library prints goes to stderr, also
when it is written in C, and a library that asks on stdin fails, instead of taking what the user typed for the command.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, TextIO

from penchant.errors import PenchantError


class NoInputError(PenchantError):
    """A library asked for input while a command ran."""


@dataclass(frozen=True)
class _Streams:
    stdin: TextIO
    stdout: TextIO


_own: _Streams | None = None


def stdout() -> TextIO:
    """The stream for what a command prints. Commands write here, never to `sys.stdout`."""
    return sys.stdout if _own is None else _own.stdout


def stdin() -> TextIO:
    """The stream that a command reads the user's words from."""
    return sys.stdin if _own is None else _own.stdin


def columns() -> int:
    """The width of the terminal that `stdout` writes to, in characters; 80 if it isn't one."""
    if not os.environ.get("COLUMNS"):
        with contextlib.suppress(OSError, ValueError):  # no terminal, or closed
            return os.get_terminal_size(stdout().fileno()).columns or 80
    return shutil.get_terminal_size().columns


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """In this context, `stdin` and `stdout` alone reach the standard streams. For everybody else `sys.stdout` and file
    descriptor 1 are stderr, reading `sys.stdin` raises `NoInputError`, and file descriptor 0 is empty. Processes that
    are started here inherit that. Contexts may be nested.
    """
    global _own
    if _own is not None:
        yield
        return
    before = _Streams(sys.stdin, sys.stdout)
    with contextlib.ExitStack() as undo:
        _flush_c()
        own = _Streams(_moved(before.stdin, 0, undo), _moved(before.stdout, 1, undo))
        undo.callback(_restore, before)
        _own, sys.stdin, sys.stdout = own, _NoInput(), sys.stderr
        yield
        own.stdout.flush()


@contextlib.contextmanager
def lent() -> Iterator[Callable[[], None]]:
    """In this context, `sys.stdin` and `sys.stdout` are the command's own streams, for a library that opens them.
    Calling what is given guards them again, as soon as the library has them.
    """
    before = sys.stdin, sys.stdout

    def guard() -> None:
        sys.stdin, sys.stdout = before

    sys.stdin, sys.stdout = stdin(), stdout()
    try:
        yield guard
    finally:
        guard()


def _restore(before: _Streams) -> None:
    global _own
    _own, sys.stdin, sys.stdout = None, before.stdin, before.stdout


def _moved(stream: TextIO, number: int, undo: contextlib.ExitStack) -> TextIO:
    """Return a stream for what file descriptor `number` is now, and put /dev/null (0) or stderr (1) in its place. A
    stream that uses another descriptor, or none, is returned unchanged.
    """
    try:
        kept = os.dup(number)
    except OSError:  # closed: there is nothing to protect
        return stream
    undo.callback(os.close, kept)
    if number == 0:
        other = os.open(os.devnull, os.O_RDONLY)
        os.dup2(other, number)
        os.close(other)
    else:
        stream.flush()
        with contextlib.suppress(OSError):  # stderr may be closed
            os.dup2(2, number)
    undo.callback(os.dup2, kept, number)
    undo.callback(_flush_c)
    if _number(stream) != number:
        return stream
    moved = open(  # noqa: SIM115 (closed by `undo`)
        kept,
        "r" if number == 0 else "w",
        encoding=stream.encoding,
        errors=stream.errors,
        buffering=1 if stream.isatty() else -1,
        closefd=False,
    )
    undo.callback(_close, moved)
    return moved


def _number(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):  # not a file, or closed
        return None


def _close(stream: TextIO) -> None:
    with contextlib.suppress(OSError):  # the reader of a pipe has left
        stream.close()


def _flush_c() -> None:
    """Write out what C libraries have printed: their buffer would follow file descriptor 1 to its next meaning."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # no such library on Windows
        ctypes.CDLL(None).fflush(None)


class _NoInput(io.TextIOBase):
    """Stands for stdin: reading fails."""

    encoding = "utf-8"

    @property
    def buffer(self) -> Any:
        return self

    def readable(self) -> bool:
        return True

    def read(self, *_: Any) -> NoReturn:
        raise NoInputError(
            "a library asked a question on stdin, and none is answered there: it must be told what to do beforehand "
            "(its question, if it printed one, is on stderr)"
        )

    readline = readlines = readinto = __next__ = read
