"""Histories with labelled evidence: used to discover heads and to measure markers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from penchant.extensions import Registry
from penchant.history.records import History, Request


@dataclass(frozen=True, slots=True)
class Question:
    """A request, the right answer, and the ids of the records that contain it (at least one, without repetition).

    category: the data set's own number for the kind of question; 0 where it has none.
    """

    request: Request
    answer: str
    evidence: tuple[str, ...]
    category: int = 0


@dataclass(frozen=True, slots=True)
class LabelledHistory:
    """One history and the questions asked about it."""

    history: History
    questions: tuple[Question, ...]


@runtime_checkable
class LabelledTask(Protocol):
    """A data set with labelled evidence."""

    def labelled(self, path: Path) -> list[LabelledHistory]:
        """Return the histories with labelled questions, in the order of the data set. Raises `InputError` if there are
        none, or for a path that isn't the data set.
        """


TASKS: Registry[LabelledTask] = Registry("task", "penchant.tasks", {}, expects="penchant.lens.labelled:LabelledTask")
"""Data sets by name, from the entry points `penchant.tasks`."""
