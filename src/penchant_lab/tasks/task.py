"""A task: a data set in its official layout, and how answers to it are judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from penchant.errors import InputError
from penchant.history.segmentation import Unit
from penchant.lens.labelled import LabelledHistory, Question
from penchant_lab.bench.items import Item, Part, in_part

Bench = Literal["mark", "compress", "title", "rating", "preference", "steer", "memory"]

WRITTEN: tuple[Bench, ...] = ("title", "steer")
"""Benches of a task whose answers users wrote themselves."""


@dataclass(frozen=True)
class Task:
    """name: as `--task` names it. benches: the `penchant bench` commands it belongs to.

    read: (path, seed) -> every item of the data set, all users, in a fixed order; the seed decides what the task draws
    (distractors, the order of options). seeded: whether it draws at all; if not, one seed is enough.
    metrics: names in `measures.scores.METRICS`, the headline first; the loss in nats is always measured.
    max_new_tokens: longest answer that is generated; 0 where choices are scored instead.
    unit: what is marked. budget: default of `--budgets`. split: users of a part, when the data set has its own split.
    scoring: how the likelihood of a choice counts, summed over its tokens or their mean.
    in_code: the items are made in code, from no data.
    dialogues: a history is a conversation, one record a turn (kind "user" or "assistant"). Budgets are then of the
    whole prompt, and shares of them of the prompt with the full conversation; answers are generated for items with a
    check.
    about: one line with the source (paper) for --help and the report.

    `read` raises `InputError` for a folder or file that isn't the data set.
    """

    name: str
    benches: tuple[Bench, ...]
    read: Callable[[Path, int], list[Item]]
    metrics: tuple[str, ...]
    about: str
    max_new_tokens: int = 0
    seeded: bool = False
    unit: Unit = "auto"
    budget: str = "2%"
    scoring: Literal["sum", "mean"] = "sum"
    split: Callable[[list[Item], Part], list[Item]] = in_part
    in_code: bool = False
    dialogues: bool = False

    def items(self, path: Path, part: Part = "test", seed: int = 0) -> list[Item]:
        """Return the items of a part."""
        return self.split(self.read(path, seed), part)

    def labelled(self, path: Path, part: Part = "all") -> list[LabelledHistory]:
        """Return the histories of a part that have a question with evidence, in the order of the data set. Raises
        `InputError` as `read` does, and if no item has evidence.
        """
        grouped: dict[int, list[Item]] = {}
        for item in self.items(path, part):
            if item.evidence:
                grouped.setdefault(id(item.history), []).append(item)
        if not grouped:
            raise InputError(f"task {self.name} has no labelled evidence in {path}: expected one that has, as locomo")
        return [
            LabelledHistory(some[0].history, tuple(Question(i.request, i.answer, i.evidence) for i in some))
            for some in grouped.values()
        ]
