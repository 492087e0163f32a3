"""Methods that steer the model while it answers: their names, and how they are combined with notes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

from torch import nn

from penchant.history.records import History, Segment
from penchant.inference.intervention import Intervention
from penchant.steering.methods.registry import VECTOR_METHODS
from penchant_lab.bench.items import Item
from penchant_lab.methods.method import Method, Notes, Session
from penchant_lab.speed.measure import counting

CONTROLS = ("other", "random")
LEARNED = ("lofit", "soft-injection")
"""Methods that learn their vectors; they have no random control."""
SYNTAX = "METHOD[@other|@random][+MARKER]"
"""@other: another user's bank. @random: random vectors of the same lengths. +MARKER: with that marker's notes."""


@dataclass(frozen=True)
class Name:
    """A method's name, taken apart."""

    method: str
    control: str = ""
    notes: str = ""

    def __str__(self) -> str:
        return f"{self.method}{self.control and f'@{self.control}'}{self.notes and f'+{self.notes}'}"


def parse_steered(name: str) -> Name | None:
    """Parse a name as in `SYNTAX`; None for other methods. "population" is steering without a user."""
    steering, plus, notes = name.partition("+")
    method, sign, control = steering.partition("@")
    if method not in (*VECTOR_METHODS, "population", *LEARNED) or bool(plus) != bool(notes):
        return None
    if sign and (control not in CONTROLS or method == "population" or (method in LEARNED and control == "random")):
        return None
    return Name(method, control, notes)


class Writer(Protocol):
    """Makes the interventions for one user's requests."""

    def prepare(self) -> None:
        """Prepare the part shared by all users; it isn't counted as a cost of a user."""

    def write(self, item: Item) -> tuple[Intervention | None, bool]:
        """Return one row, and whether it isn't the user's own (or, for a control, wouldn't be)."""

    def stored_bytes(self) -> int: ...


def writing_method(
    name: Name,
    about: str,
    model: nn.Module,
    open_writer: Callable[[History, int], Writer],
    notes: Method | None,
    *,
    seeded: bool,
) -> Method:
    """A method of the bench that writes into the model. open_writer: (history, seed) -> a user's. notes: the method
    that writes what stands in the prompt; None: nothing does."""

    @contextmanager
    def open_(history: History, segments: Sequence[Segment], seed: int) -> Iterator[Session]:
        with nullcontext() if notes is None else notes.open(history, segments, seed) as below:
            yield _Session(model, open_writer(history, seed), below)

    about += ", another user's" if name.control == "other" else ""
    about += f"; notes by {name.notes}" if notes else ""
    seeded = seeded or bool(name.control) or (notes is not None and notes.seeded)
    return Method(str(name), open_, about, seeded, notes is not None and notes.budgeted)


@dataclass
class _Session:
    model: nn.Module
    writer: Writer
    below: Session | None

    def notes(self, item: Item, budget: int) -> Notes:
        self.writer.prepare()
        began = time.perf_counter()
        with counting(self.model) as fed:
            written, fallback = self.writer.write(item)
        seconds = time.perf_counter() - began
        notes = Notes(None) if self.below is None else self.below.notes(item, budget)
        return replace(
            notes,
            tokens_fed=notes.tokens_fed + fed.tokens,
            seconds=notes.seconds + seconds,
            fallback=notes.fallback or fallback,
            intervention=written,
        )

    def stored_bytes(self) -> int:
        return self.writer.stored_bytes() + (0 if self.below is None else self.below.stored_bytes())
