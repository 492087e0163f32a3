"""Texts run together: which of them, so that little is padding, and how they are padded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor


def length_batches(
    lengths: Sequence[int],
    *,
    rows: int | None = None,
    tokens: int | None = None,
    behind: Sequence[int] | None = None,
    tokens_behind: int | None = None,
    equal: bool = False,
) -> Iterator[list[int]]:
    """Positions in `lengths`, the shortest first, cut into batches: each holds texts of similar length.

    rows: most texts of a batch. tokens: most tokens, padding included. behind: tokens that will follow each text, which
    count towards `tokens` as the longest of the batch; tokens_behind: most of those alone, padding included.
    equal: only texts of exactly one length together. A text that exceeds a limit by itself has a batch of its own.
    """
    follow = [0] * len(lengths) if behind is None else behind
    batch: list[int] = []
    longest = 0
    for i in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        count, after = len(batch) + 1, max(longest, follow[i])
        full = (
            (rows is not None and count > rows)
            or (tokens is not None and count * (lengths[i] + after) > tokens)
            or (tokens_behind is not None and count * after > tokens_behind)
            or (equal and bool(batch) and lengths[i] != lengths[batch[0]])
        )
        if batch and full:
            yield batch
            batch, after = [], follow[i]
        batch.append(i)
        longest = after
    if batch:
        yield batch


@dataclass(frozen=True, eq=False)
class Padded:
    """ids: tokens, 0 where there is none. there: which of them are tokens. Both on the CPU."""

    ids: Int[Tensor, "rows width"]
    there: Bool[Tensor, "rows width"]


def pad_left(rows: Sequence[Sequence[int]]) -> Padded:
    """Rows that end together: what follows can be read behind all of them."""
    width = max(map(len, rows), default=0)
    return _padded(rows, [width - len(row) for row in rows], width)


def pad_right(rows: Sequence[Sequence[int]]) -> Padded:
    """Rows that begin together: in a causal model no token sees the padding behind it."""
    return _padded(rows, [0] * len(rows), max(map(len, rows), default=0))


def beside(first: Padded, second: Padded) -> Padded:
    """Each row of `first` with that of `second` behind it."""
    return Padded(torch.cat([first.ids, second.ids], 1), torch.cat([first.there, second.there], 1))


def _padded(rows: Sequence[Sequence[int]], starts: Sequence[int], width: int) -> Padded:
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    for i, (row, start) in enumerate(zip(rows, starts, strict=True)):
        ids[i, start : start + len(row)] = torch.tensor(row, dtype=torch.long)
    begins = torch.tensor(starts, dtype=torch.long)[:, None]
    ends = begins + torch.tensor([len(row) for row in rows], dtype=torch.long)[:, None]
    columns = torch.arange(width)
    return Padded(ids, (columns >= begins) & (columns < ends))
