"""Commands of Penchant in messages: each is made here, so that it can be run as printed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_HISTORY: ContextVar[str] = ContextVar("history", default="FILE")


def command(name: str, *arguments: str, **options: object) -> str:
    """Return a command line in backquotes. name: "steer fit". options: by name, with _ for -; True is a switch; None
    and False are left out. What the reader chose (the store, the model and how it is loaded) belongs into it: see
    `options` of `LoadedModel`, `Store` and `SteeringPaths`.
    """
    dashed = any(one.startswith("-") for one in arguments)
    words = ["penchant", *name.split(), *(() if dashed else arguments)]
    for key, value in options.items():
        if value is not None and value is not False:
            words.append(f"--{key.replace('_', '-')}")
            words += [] if value is True else [str(value)]
    words += ["--", *arguments] if dashed else []
    return f"`{shlex.join(words)}`"


@contextmanager
def history_file(path: Path) -> Iterator[None]:
    """Name the file that is read within the block, for commands that read it again."""
    token = _HISTORY.set(str(path))
    try:
        yield
    finally:
        _HISTORY.reset(token)


def history_options() -> dict[str, str]:
    """The option that names the history file in use."""
    return {"history": _HISTORY.get()}
