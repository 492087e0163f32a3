"""Output of all commands: one JSON document or text on stdout, everything else on stderr, and exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast

import typer
from rich import progress
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from penchant import files
from penchant.cli.streams import columns, stdin, stdout
from penchant.errors import InputError, PenchantError
from penchant.hints import command
from penchant.progress import Progress

if TYPE_CHECKING:
    from penchant.store import Store

_UNWRAPPED = 1_000_000  # characters

CUT = {
    "interrupted": "stopped",
    "length": "cut off at the limit of tokens",
    "repetition": "stopped because it repeats itself",
    "broken": "cut off: the endpoint's stream broke off",
    "filtered": "stopped by the endpoint's filter",
}
"""Says of an answer that isn't complete why it ended, by `Finish`."""

stderr = Console(stderr=True, width=None if sys.stderr.isatty() else _UNWRAPPED)
"""Progress, questions and errors go here. What goes into a file or a pipe is not wrapped to any width."""


def stdout_console() -> Console:
    """A console that prints to stdout, for people. What goes into a file or a pipe is not wrapped to any width."""
    out = stdout()
    return Console(file=out, width=columns() if out.isatty() else _UNWRAPPED)


StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="PATH",
        help="Folder (or database URL) of the store. Default: $PENCHANT_STORE, else the platform's data folder.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]


# Typer carries its own copy of click in some versions and uses the installed one in others.
_UsageError = cast(
    type[typer.BadParameter], next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
)
_INTERRUPTED = 130


class NoStoreError(InputError):
    """A command that only reads was given a place without a store."""


def open_store(named: str | None, *, create: bool = True) -> Store:
    """Open the store that `--store` names, or the default one. create: make one that isn't there; otherwise
    `NoStoreError` is raised, so that a command that only reads can't make a store of a misspelt name.
    """
    from penchant.store import Store, default_store
    from penchant.store.location import DATABASE

    place = named or default_store()
    if not (create or "://" in place or place.startswith("sqlite") or (Path(place) / DATABASE).is_file()):
        raise NoStoreError(
            f"there is no store in {place}: expected a folder that records were added to; check --store and "
            f"$PENCHANT_STORE, or begin one with {command('add', 'I like tea.', user='me', store=named)}"
        )
    return Store(place)


def check_file(path: Path | None) -> None:
    """Raise `InputError` for a file that can't be written: before the work, not after it."""
    if path is not None:
        files.check_writable(path)


def write_text(path: Path, text: str) -> None:
    """Write a file that the user named. Raises `InputError` if that fails."""
    try:
        files.write_text(path, text)
    except OSError as error:
        raise files.unwritable(path, error) from error


def write_verbatim(text: str) -> None:
    """Write a text to stdout: for people with a line end, into a file or a pipe exactly as it is."""
    out = stdout()
    out.write(text + "\n" if out.isatty() else text)
    out.flush()


@contextmanager
def encoding_bar() -> Iterator[Progress]:
    """Show a bar on stderr, but only while records are being encoded: a live bar would catch or overwrite what is
    printed to stdout.
    """
    bar = progress.Progress(console=stderr, transient=True, disable=not stderr.is_terminal)
    task = bar.add_task("Encoding records", total=None)

    def encoded(step: str, done: int, total: int | None) -> None:
        if not bar.live.is_started:
            bar.start()
        bar.update(task, completed=done, total=total)
        if total is not None and done >= total:
            bar.stop()

    try:
        yield encoded
    finally:
        bar.stop()


@contextmanager
def step_bar() -> Iterator[Progress]:
    """Show a bar on stderr for work of several steps; it starts again at zero with each step."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with progress.Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        task = bar.add_task("Starting", total=None)
        current = ""

        def show(step: str, done: int, total: int | None) -> None:
            nonlocal current
            if step != current:
                current = step
                bar.reset(task, description=step.capitalize(), total=total)
            bar.update(task, completed=done, total=total)

        yield show


def emit(document: Mapping[str, Any], as_json: bool, human: Callable[[], None]) -> None:
    """Print the document as JSON, or call `human`, which prints it for people."""
    if as_json:
        stdout().write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
        stdout().flush()
    else:
        human()


def say(line: str) -> None:
    """Print a line for people on stdout, as it is: no markup, no wrapping."""
    stdout_console().print(line, markup=False, highlight=False, soft_wrap=True)


def confirmed(question: str) -> bool:
    """Ask on stderr; return whether the answer on stdin is yes."""
    # Not typer.confirm: it reads the guarded sys.stdin, and can't tell Ctrl-C from an empty stdin.
    stderr.print(f"{question} [y/N] ", end="", markup=False, highlight=False)
    return stdin().readline().strip().lower() in ("y", "yes")


def run(app: typer.Typer) -> NoReturn:
    """Run a command line and exit as `run_and_exit` does."""
    run_and_exit(partial(app, standalone_mode=False))


def run_and_exit(command: Callable[[], object]) -> NoReturn:
    """Run a command and exit with the number it returns, if any: 0 done, 2 bad usage or bad input, 1 any other error
    that Penchant raises on purpose, 130 interrupted; each error with one line on stderr. Other exceptions are bugs and
    keep their traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and (stream.encoding or "").lower().replace("-", "") != "utf8":
            stream.reconfigure(encoding="utf-8")
    sys.exit(_exit_code(command))


def _exit_code(command: Callable[[], object]) -> int:
    try:
        returned = command()
    except InputError as error:
        return _fail(str(error), 2)
    except PenchantError as error:
        return _fail(str(error), 1)
    except _UsageError as error:
        return _fail(f"{error.format_message()} See --help.", error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        returned = _INTERRUPTED
    if returned == _INTERRUPTED:
        return _fail("interrupted; everything that was acknowledged is kept", _INTERRUPTED)
    return returned if isinstance(returned, int) else 0


def _fail(message: str, code: int) -> int:
    line = " ".join(message.split())
    sys.stderr.write(f"penchant: {line}\n")
    return code
