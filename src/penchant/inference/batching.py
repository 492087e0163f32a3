"""Batching: groups texts of similar length, to waste little on padding, and pads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn import functional


def length_batches(
    lengths: Sequence[int],
    *,
    rows: int | None = None,
    tokens: int | None = None,
    behind: Sequence[int] | None = None,
    tokens_behind: int | None = None,
    equal: bool = False,
) -> Iterator[list[int]]:
    """Group positions in `lengths` into batches of similar length, the shortest first.

    rows: most texts per batch. tokens: most tokens per batch, padding included. behind: tokens that will follow each
    text; they count towards `tokens`, padded to the longest of the batch; tokens_behind: limit for those alone, padding
    included. equal: batch only texts of exactly the same length. A text that alone exceeds a limit gets a batch of its
    own.
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
    """A padded batch. ids: tokens, 0 at padding. there: True at tokens, False at padding. Both on the CPU."""

    ids: Int[Tensor, "rows width"]
    there: Bool[Tensor, "rows width"]


def pad_left(rows: Sequence[Sequence[int]]) -> Padded:
    """Align rows at their ends, so that the same step can continue all of them."""
    width = max(map(len, rows), default=0)
    return _padded(rows, [width - len(row) for row in rows], width)


def pad_right(rows: Sequence[Sequence[int]]) -> Padded:
    """Align rows at their beginnings: in a causal model no token attends to later padding."""
    return _padded(rows, [0] * len(rows), max(map(len, rows), default=0))


def beside(first: Padded, second: Padded) -> Padded:
    """Concatenate each row of `first` with the same row of `second`."""
    return Padded(torch.cat([first.ids, second.ids], 1), torch.cat([first.there, second.there], 1))


def stacked(parts: Sequence[Padded]) -> Padded:
    """Put batches below one another, aligned at their ends, without columns that are padding in all rows."""
    width = max(part.ids.shape[1] for part in parts)
    ids, there = (
        torch.cat([functional.pad(tensor, (width - tensor.shape[1], 0)) for tensor in tensors])
        for tensors in ([part.ids for part in parts], [part.there for part in parts])
    )
    any_there = there.any(0)
    first = int(any_there.int().argmax()) if bool(any_there.any()) else 0
    return Padded(ids[:, first:], there[:, first:])


def _padded(rows: Sequence[Sequence[int]], starts: Sequence[int], width: int) -> Padded:
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    for i, (row, start) in enumerate(zip(rows, starts, strict=True)):
        ids[i, start : start + len(row)] = torch.tensor(row, dtype=torch.long)
    begins = torch.tensor(starts, dtype=torch.long)[:, None]
    ends = begins + torch.tensor([len(row) for row in rows], dtype=torch.long)[:, None]
    columns = torch.arange(width)
    return Padded(ids, (columns >= begins) & (columns < ends))
