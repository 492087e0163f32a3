"""Histories of which is known where the answers stand: what heads are discovered with and markers are measured by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from penchant.extensions import Registry
from penchant.history.records import History, Request


@dataclass(frozen=True, slots=True)
class Question:
    """A request, the answer that is right, and the ids of the records that hold it (at least one, each once).

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
        """Its histories with a labelled question, in the order of the data set. Raises `InputError` where there are
        none, or for a path that isn't the data set."""


TASKS: Registry[LabelledTask] = Registry("task", "penchant.tasks", {}, expects="penchant.lens.labelled:LabelledTask")
"""Data sets by name, from the entry points `penchant.tasks`."""
