"""What a person sees on stderr while a model is prepared: one bar of ours, none of transformers' own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from transformers.utils import logging as transformers_logging

Advance = Callable[[int, int | None], None]
"""(steps done, steps in all or None) -> shown."""


@contextlib.contextmanager
def progress(title: str) -> Iterator[Advance]:
    """A bar on stderr that goes away at the end. It pulses until the number of steps is known."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(title, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


@contextlib.contextmanager
def no_bars() -> Iterator[None]:
    """Keep transformers' bars off stderr. Undone on exit."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def gguf_bar_into(advance: Advance) -> Iterator[None]:
    """Show the tensors that transformers de-quantises through `advance`, not in the bar it makes itself."""

    def bar(items: Sequence[Any], **_: Any) -> Iterator[Any]:
        for done, item in enumerate(items):
            advance(done, len(items))
            yield item

    with no_bars(), mock.patch("transformers.modeling_gguf_pytorch_utils.tqdm", bar):
        yield
