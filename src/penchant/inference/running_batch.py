"""Continuous batching: rows join a batch that is being generated, and leave it, between two steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.inference.answer_row import AnswerRow, PromptTokens, pick
from penchant.inference.batching import pad_left
from penchant.inference.cached_rows import CachedRows
from penchant.inference.recurrence import recurrence
from penchant.inference.stopping import end_tokens
from penchant.models.loading import LoadedModel

Context = Callable[[Sequence[int]], AbstractContextManager[None]]
"""Takes the keys of the rows of a forward pass, and returns the context for it: interventions, one per row."""


@dataclass(frozen=True, eq=False)
class ReadPrompt:
    """A prompt that was read. rows: its cache, of one row. logits: those after it. cached: how many of its tokens came
    from an earlier cache.
    """

    rows: CachedRows
    logits: Float[Tensor, "1 vocab"]
    cached: int = 0


@dataclass(frozen=True, eq=False)
class _Running:
    key: int
    row: AnswerRow
    read: ReadPrompt | None  # until it is in the batch
    at: int | None = None  # position in the batch


@dataclass(frozen=True)
class Step:
    """What one step did for a row. piece: new text, perhaps none."""

    key: int
    row: AnswerRow
    piece: str


def most_rows(loaded: LoadedModel, wanted: int) -> int:
    """Return how many rows of a model may run together: one, if it computes padded or cached rows differently."""
    able = recurrence(loaded)
    return wanted if able is None or (able.step and able.padding and able.cache) else 1


@torch.inference_mode()
def read_prompt(loaded: LoadedModel, ids: Sequence[int], known: CachedRows | None = None) -> ReadPrompt:
    """Read a prompt. known: the cache of its first tokens (fewer than all), which this goes on from."""
    rows = known or CachedRows.empty(loaded, 1)
    cached = rows.seen.shape[1]
    return ReadPrompt(rows, rows.prefill(pad_left([ids[cached:]])), cached)


class RunningBatch:
    """A batch that is being generated. context: see `Context`. Not thread-safe.

    A row's tokens depend on its prompt and its seed, not on the rows beside it (up to rounding).
    """

    def __init__(self, loaded: LoadedModel, context: Context) -> None:
        self._loaded, self._context = loaded, context
        self._ends = end_tokens(loaded)
        self._rows: list[_Running] = []
        self._cached: CachedRows | None = None
        self._logits: Tensor | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def admit(self, key: int, prompt: PromptTokens, read: ReadPrompt) -> AnswerRow:
        """Add a row whose prompt was read. key: names it in `step`."""
        row = AnswerRow(self._loaded, prompt, self._ends)
        self._rows.append(_Running(key, row, read))
        return row

    def drop(self, key: int) -> None:
        """Take a row out; nothing if there is none of this key."""
        self._rows = [one for one in self._rows if one.key != key]

    def clear(self) -> None:
        """Take all rows out."""
        self._rows, self._cached, self._logits = [], None, None

    def cache_of(self, key: int) -> CachedRows | None:
        """Copy the cache of a row, its prompt and what it has written, without padding; None if it isn't in the batch
        yet. After the step in which it ended it is still there.
        """
        at = next((one.at for one in self._rows if one.key == key), None)
        return None if at is None or self._cached is None else CachedRows.merged([(self._cached, [at])])

    @torch.inference_mode()
    def step(self) -> list[Step]:
        """Generate one token of every row; return what each wrote. Rows that have ended leave at the next step."""
        self._rows = [one for one in self._rows if one.row.finish is None]
        if not self._rows:
            self.clear()
            return []
        logits = self._arranged()
        rows = [one.row for one in self._rows]
        picked = pick(logits, rows)
        steps = [Step(one.key, one.row, one.row.add(token)) for one, token in zip(self._rows, picked, strict=True)]
        if any(row.finish is None for row in rows):
            assert self._cached is not None
            with self._context([one.key for one in self._rows]):
                self._logits = self._cached.feed(picked)
        return steps

    def _arranged(self) -> Tensor:
        """Make the batch consist of the rows of now, and return the logits after each. Nothing is copied if no row
        joined or left.
        """
        places = [one.at for one in self._rows]
        before = 0 if self._logits is None else len(self._logits)
        if self._logits is not None and places == list(range(before)):
            return self._logits
        staying = [one for one in self._rows if one.at is not None]
        joining = [(one, one.read) for one in self._rows if one.read is not None]
        kept = [one.at for one in staying if one.at is not None]
        parts: list[tuple[CachedRows, Sequence[int]]] = [(read.rows, [0]) for _, read in joining]
        logits = [read.logits for _, read in joining]
        if kept:
            assert self._cached is not None and self._logits is not None
            parts.insert(0, (self._cached, kept))
            logits.insert(0, self._logits[kept])
        alone = len(parts) == 1 and len(parts[0][1]) == len(parts[0][0].seen)
        self._cached = parts[0][0] if alone else CachedRows.merged(parts)
        self._logits = torch.cat(logits)
        ordered = [*staying, *(one for one, _ in joining)]
        self._rows = [_Running(one.key, one.row, None, at) for at, one in enumerate(ordered)]
        return self._logits
