"""Scoring: one blocked product of a request's queries with the stored keys, reduced to a score per segment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from penchant.history.records import History, Segment

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

#: Stored tokens per block: the logits of a block stay in the processor's cache.
TOKENS_A_BLOCK = 8192
#: Log shares below this are negligible (a float32 underflows at -87 below the peak).
_FLOOR_SHARE = float(np.exp(np.float32(-80.0)))
#: Factor for standardised scores below a head's average.
LEAK = 0.1


@dataclass(frozen=True)
class Layout:
    """The position of each segment's tokens in the stored rows: `low` to `high` (exclusive), int64 [segments].

    An empty range is a segment without tokens. `order` sorts the segments by `low`.
    """

    low: IntArray
    high: IntArray
    order: IntArray


def lay_out(
    history: History, segments: Sequence[Segment], first_row: IntArray, spans: npt.NDArray[np.int32], counts: IntArray
) -> Layout:
    """Find the rows of every segment in one search over all tokens.

    first_row, counts: int64 [records], the first row of each record of the history, and how many it has; together they
    cover all rows, and equal records may share theirs. spans: int32 [rows, 2], character offsets of each row's token
    into its record's body.
    """
    stride = 1 + max((len(record.body) for record in history), default=0)
    groups, group_of_record = np.unique(np.stack([first_row, counts], axis=1), axis=0, return_inverse=True)
    group_of_row = np.repeat(np.arange(len(groups)), groups[:, 1])
    # Byte-level tokens of one character can share it; a running maximum keeps both ends sorted for the search.
    starts = np.maximum.accumulate(group_of_row * stride + spans[:, 0])
    ends = np.maximum.accumulate(group_of_row * stride + spans[:, 1])
    record = np.fromiter((segment.record for segment in segments), np.int64, len(segments))
    at = group_of_record.reshape(-1)[record] * stride
    begins = np.fromiter((segment.start for segment in segments), np.int64, len(segments))
    stops = np.fromiter((segment.end for segment in segments), np.int64, len(segments))
    low = np.searchsorted(ends, at + begins, "right")
    high = np.maximum(low, np.searchsorted(starts, at + stops, "left"))
    return Layout(low, high, np.argsort(low, kind="stable"))


def segment_log_mass(
    keys: Iterator[tuple[int, Float[Tensor, "pairs tokens dim"]]],
    queries: Float[Tensor, "heads rows dim"],
    pair_of: Sequence[int],
    layout: Layout,
    scaling: float,
) -> FloatArray:
    """Return the log of the sum over a segment's tokens of exp(scaling * query . key): float32 [heads, rows, segments].

    keys: blocks of stored keys with the row each starts at, in order. The softmax over the history is these numbers
    minus their logsumexp over segments, so nothing of size (rows x tokens) outlives a block.
    """
    heads, rows, _ = queries.shape
    pairs = sorted(set(pair_of))
    stacked = {pair: torch.cat([queries[head] for head in range(heads) if pair_of[head] == pair]) for pair in pairs}
    columns = {pair: [head for head in range(heads) if pair_of[head] == pair] for pair in pairs}
    total = np.full((heads, rows, len(layout.low)), -np.inf, dtype=np.float32)
    low, high = layout.low[layout.order], layout.high[layout.order]
    reach = np.maximum.accumulate(high)
    for first, block in keys:
        size = block.shape[1]
        begin = int(np.searchsorted(reach, first, "right"))
        stop = int(np.searchsorted(low, first + size, "left"))
        inside = np.clip(np.stack([low[begin:stop], high[begin:stop]], axis=1) - first, 0, size)
        some = inside[:, 1] > inside[:, 0]
        which = layout.order[begin:stop][some]
        if not len(which):
            continue
        edges = inside[some].reshape(-1)
        # Only segments that began in an earlier block can have mass already; they come first.
        carried = which[: np.searchsorted(low[begin:stop][some], first)]
        for pair in pairs:
            part = _block_log_mass(block[pair], stacked[pair], edges, scaling)
            for head, mass in zip(columns[pair], part.reshape(len(columns[pair]), rows, len(which)), strict=True):
                mass[:, : len(carried)] = np.logaddexp(total[head][:, carried], mass[:, : len(carried)])
                total[head][:, which] = mass
    return total


def _block_log_mass(
    keys: Float[Tensor, "tokens dim"], queries: Float[Tensor, "rows dim"], edges: IntArray, scaling: float
) -> FloatArray:
    """Return [rows, segments]. Tokens are on the last axis, so that maxima and sums read contiguous memory."""
    logits = (queries.to(keys.dtype) @ keys.T).float().mul_(scaling)
    peak = logits.amax(1, keepdim=True)
    # The last column of zeros allows an edge at the end of the block.
    mass = torch.nn.functional.pad(logits.sub_(peak).exp_(), (0, 1)).numpy()
    sums = np.add.reduceat(mass, edges, axis=1)[:, ::2]
    with np.errstate(divide="ignore"):  # too far below the peak for a float32: no mass
        log_mass: FloatArray = np.log(sums) + peak.numpy()
    return log_mass


def head_scores(log_mass: FloatArray, neutral_rows: int, baseline: float) -> FloatArray:
    """Return the scores of each head, float32 [heads, segments], from the log masses of request rows followed by
    neutral rows.

    Softmax over the history for each row, mean over the request's rows, log, minus `baseline` times the same for the
    neutral rows (attention independent of the request), standardised. Scores below a head's average count only a tenth:
    a retrieval head that doesn't attend to a segment is weak evidence against it (measured: recall +0.01). A segment
    without tokens gets the lowest score of the others.
    """
    rows = log_mass.shape[1] - neutral_rows
    reached = np.isfinite(log_mass).any(axis=(0, 1))
    out = np.zeros((log_mass.shape[0], log_mass.shape[2]), dtype=np.float32)
    if not reached.any():
        return out
    share = log_mass if reached.all() else log_mass[:, :, reached]
    peak = share.max(axis=2, keepdims=True)
    share = np.exp(share - np.where(np.isfinite(peak), peak, 0.0))
    share /= np.maximum(share.sum(axis=2, keepdims=True), np.finfo(np.float32).tiny)
    relevance = np.log(np.maximum(share[:, :rows].mean(axis=1), _FLOOR_SHARE))
    salience = np.log(np.maximum(share[:, rows:].mean(axis=1), _FLOOR_SHARE))
    scores = standardise(relevance - baseline * salience)
    out[:, reached] = np.maximum(scores, LEAK * scores)
    out[:, ~reached] = out[:, reached].min(axis=1, keepdims=True)
    return out


def standardise(scores: FloatArray) -> FloatArray:
    """Scale to zero mean and unit variance along the last axis; a constant row becomes zeros."""
    if not scores.shape[-1]:
        return scores.astype(np.float32)
    exact = scores.astype(np.float64)
    centred = exact - exact.mean(axis=-1, keepdims=True)
    deviation = exact.std(axis=-1, keepdims=True)
    constant = deviation <= 1e-6 * np.maximum(1.0, np.abs(exact).max(axis=-1, keepdims=True))
    out: FloatArray = np.where(constant, 0.0, centred / np.where(constant, 1.0, deviation)).astype(np.float32)
    return out
