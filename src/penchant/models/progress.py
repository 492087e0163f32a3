"""Progress on stderr while a model is prepared: one bar of Penchant's, none of transformers'."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import rich.progress
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from transformers.utils import logging as transformers_logging

from penchant.models.replaced import replaced
from penchant.progress import Progress


@contextlib.contextmanager
def bar() -> Iterator[Progress]:
    """Show a bar on stderr that disappears at the end. It pulses until the total is known."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with rich.progress.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=None)
        yield lambda step, done, total: shown.update(task, description=step, completed=done, total=total)


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
def gguf_bar_into(progress: Progress, step: str) -> Iterator[None]:
    """Report the tensors that transformers de-quantises to `progress`, instead of in transformers' own bar."""

    def bar(items: Sequence[Any], **_: Any) -> Iterator[Any]:
        for done, item in enumerate(items):
            progress(step, done, len(items))
            yield item

    from transformers import modeling_gguf_pytorch_utils

    with no_bars(), replaced(modeling_gguf_pytorch_utils, "tqdm", bar):
        yield
