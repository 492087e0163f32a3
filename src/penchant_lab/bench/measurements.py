"""The rows of one method at one budget, as arrays over the items of the run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from penchant.errors import InputError
from penchant_lab.bench.rows import Row
from penchant_lab.measures.resampling import Answers, Estimate, Resampling
from penchant_lab.measures.scores import METRICS

Floats = npt.NDArray[np.float64]

REFERENCES = ("none", "full", "gold")
EVIDENCE = {
    "recall": "evidence recall",
    "precision": "evidence precision",
    "evidence_auc": "evidence AUC",
    "recall_at_10": "evidence recall at 10",
}
ENOUGH_USERS = 10
"""With at least this many users, whole users are resampled."""


@dataclass(frozen=True)
class Measured:
    """rows: of one method and budget, errors apart; failed: those. position: of each item in the run."""

    method: str
    asked: str
    rows: tuple[Row, ...]
    failed: tuple[Row, ...]
    position: dict[str, int]

    @property
    def items(self) -> int:
        return len({row.item for row in self.rows})

    def per_item(self, of: Callable[[Row], float | None]) -> Floats:
        """float [items of the run]: mean over the seeds of an item, NaN where there is none."""
        found = [(self.position[row.item], value) for row in self.rows if (value := of(row)) is not None]
        at = np.array([position for position, _ in found], dtype=np.intp)
        values = np.array([value for _, value in found], dtype=np.float64)
        size = len(self.position)
        with np.errstate(invalid="ignore"):
            return np.bincount(at, values, size) / np.bincount(at, minlength=size)

    def column(self, name: str) -> Floats:
        """`per_item` of "loss", of a metric that is a mean of items, or of one of `EVIDENCE`."""
        if name == "loss":
            return self.per_item(lambda row: row.loss)
        if name in EVIDENCE:
            return self.per_item(lambda row: getattr(row, name.removeprefix("evidence_")))
        return self.per_item(lambda row: row.metrics.get(name))

    def answers(self, mask: npt.NDArray[np.bool_] | None = None) -> Answers:
        """Numbers predicted and true (of the items of the mask), each item counting once whatever its seeds."""
        there = [row for row in self.rows if row.predicted is not None and row.true is not None]
        item = np.array([self.position[row.item] for row in there], dtype=np.intp)
        weight = 1 / np.bincount(item, minlength=len(self.position))[item] if len(item) else np.empty(0)
        numbers = np.array([(row.predicted, row.true) for row in there], dtype=np.float64).reshape(-1, 2)
        kept = np.ones(len(item), np.bool_) if mask is None else mask[item]
        return Answers(numbers[kept, 0], numbers[kept, 1], item[kept], weight[kept])


@dataclass(frozen=True)
class Run:
    """Everything that was measured. names: what is compared, the loss and the metrics first; see `read`."""

    cells: tuple[Measured, ...]
    category: npt.NDArray[np.str_]
    users: int
    clustered: bool
    resampling: Resampling
    names: tuple[str, ...]

    def cell(self, method: str, asked: str) -> Measured | None:
        """Return a method at a budget; a method without budgets is returned for any."""
        found = {cell.asked: cell for cell in self.cells if cell.method == method}
        return found.get(asked, found.get(""))

    def reference(self, method: str) -> Measured | None:
        return next((cell for cell in self.cells if cell.method == method and cell.rows), None)

    def values(
        self, cell: Measured, minus: Measured | None = None, mask: npt.NDArray[np.bool_] | None = None
    ) -> dict[str, Estimate]:
        """Return all figures of a cell, or of the items of the mask; or their differences from another, on the common
        items.
        """
        columns, wholes = {}, {}
        for name in self.names:
            of_all = METRICS[name].of_all if name in METRICS else None
            if of_all is not None:
                other = None if minus is None else minus.answers(mask)
                wholes[name] = self.resampling.figure(of_all, cell.answers(mask), other)
                continue
            column = cell.column(name) - (0 if minus is None else minus.column(name))
            columns[name] = column if mask is None else np.where(mask, column, np.nan)
        means = self.resampling.means(np.stack(list(columns.values()), axis=1)) if columns else []
        both = dict(zip(columns, means, strict=True)) | wholes
        return {name: estimate for name in self.names if (estimate := both[name]) is not None}


def read(rows: Sequence[Row], metrics: Sequence[str], seed: int, rounds: int) -> Run:
    """Make a run from rows. Raises `InputError` without rows, for an unknown metric, or a repeated measurement.

    A row whose loss is not finite counts as failed. Users are resampled where there are `ENOUGH_USERS`, else items.
    """
    if not rows:
        raise InputError("nothing was measured: expected at least one row")
    for name in metrics:
        if name not in METRICS:
            raise InputError(f"no metric {name!r}: expected one of {', '.join(METRICS)}")
    twice = next((key for key, count in Counter(row.key for row in rows).items() if count > 1), None)
    if twice is not None:
        raise InputError(f"method, item, budget and seed {twice} were measured twice: expected one row of each")
    user = {row.item: row.user for row in rows}
    category = {row.item: row.category for row in rows}
    position = {item: at for at, item in enumerate(user)}
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.method, row.asked), []).append(_checked(row))
    cells = tuple(
        Measured(
            method,
            asked,
            tuple(row for row in some if row.error is None),
            tuple(row for row in some if row.error is not None),
            position,
        )
        for (method, asked), some in groups.items()
    )
    users = {name: at for at, name in enumerate(dict.fromkeys(user.values()))}
    clustered = len(users) >= ENOUGH_USERS
    cluster = np.array([users[user[item]] if clustered else at for item, at in position.items()], dtype=np.intp)
    there = [name for name in ("loss", *dict.fromkeys(metrics), *EVIDENCE) if _measured(name, cells)]
    categories = np.array([category[item] for item in position], dtype=np.str_)
    return Run(cells, categories, len(users), clustered, Resampling(cluster, seed, rounds), tuple(there))


def _checked(row: Row) -> Row:
    if row.error is None and row.loss is not None and not math.isfinite(row.loss):
        return Row(row.method, row.item, row.user, row.seed, row.asked, row.category, error=f"the loss is {row.loss}")
    return row


def _measured(name: str, cells: Sequence[Measured]) -> bool:
    if name in METRICS and METRICS[name].of_all is not None:
        return any(len(cell.answers().item) for cell in cells)
    return any(bool(np.isfinite(cell.column(name)).any()) for cell in cells)
