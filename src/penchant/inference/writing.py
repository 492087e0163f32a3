"""Writers: each decoder has at most one active writer (an intervention, an attention bias) of each kind, and its rows
are mapped to the rows of a batch.

A writer is active for the thread or task that set it, until its context ends. One set inside another's context replaces
it until then, None included: two writers are never added up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Generic, Literal, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from penchant.errors import InputError

Writer = TypeVar("Writer")
Kind = Literal["activations", "attention"]


class Slot(Generic[Writer]):
    """A decoder's current writer: in this context, and globally for compiled code, which can't read contexts."""

    def __init__(self) -> None:
        self._here: ContextVar[_Entry[Writer] | None] = ContextVar("penchant_writing", default=None)
        self._compiled: _Entry[Writer] | None = None

    def current(self) -> Writer | None:
        entry = self._compiled if torch.compiler.is_compiling() else self._here.get()
        return entry.writer if entry is not None and entry.live else None

    @contextmanager
    def set(self, writer: Writer | None) -> Iterator[None]:
        """Make `writer` the active one in this context; None: no writer."""
        entry = None if writer is None else _Entry(writer)
        before, token = self._compiled, self._here.set(entry)
        self._compiled = entry
        try:
            yield
        finally:
            if entry is not None:
                entry.live = False  # for tasks and threads that were started inside and still run
            self._compiled = before
            with suppress(ValueError):  # closed from another context, in which this writer was never set
                self._here.reset(token)


class _Entry(Generic[Writer]):
    def __init__(self, writer: Writer) -> None:
        self.writer, self.live = writer, True


_slots: WeakKeyDictionary[nn.Module, dict[Kind, Slot[object]]] = WeakKeyDictionary()


def slot_of(decoder: nn.Module, kind: Kind) -> Slot[object]:
    """Return the slot of a decoder (`model.get_decoder()`)."""
    return _slots.setdefault(decoder, {}).setdefault(kind, Slot())


def check_rows(batch: int, rows: int) -> None:
    """Raise `InputError` for a batch that doesn't hold the same number of beams for every row."""
    if batch % rows:
        raise InputError(f"a batch of {batch} rows for an intervention of {rows}: expected a multiple of that")


def spread(table: Tensor, batch: int) -> Tensor:
    """Repeat each row of a table once per beam, side by side, to match the batch. A single row stays one, shared by the
    whole batch.
    """
    rows = table.shape[0]
    return table if rows in (1, batch) else table.repeat_interleave(batch // rows, 0, output_size=batch)
