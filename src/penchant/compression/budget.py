"""Budgets in tokens: counting, reading "2%" or "auto", and choosing the segments that fill one (`fill`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from penchant.compression.registry import BUDGET_FLOOR, BUDGET_SHARE
from penchant.errors import InputError
from penchant.history.records import History
from penchant.marking.lru import LRU, digest
from penchant.text.unicode import sanitize

BATCH = 4096  # texts per tokenizer call: bounds the memory of a batch
REOPENED = 4  # how many of the last segments `fill` may exchange for a better fit
POOL = 200  # how many candidates the exact step of `fill` looks at
DP_CELLS = 40_000_000  # limit on pool x room; for larger budgets greedy filling is close enough


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that is used here."""

    def __call__(self, text: Any, **options: Any) -> Any: ...


def count_tokens(tokenizer: Tokenizer, text: str) -> int:
    """Count the tokens of a text, without special tokens."""
    return len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]) if text else 0


def count_each(tokenizer: Tokenizer, texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Count the tokens of each text, int64 [texts]; one batched call per `BATCH` texts."""
    counts: list[int] = []
    for start in range(0, len(texts), BATCH):
        batch = list(texts[start : start + BATCH])
        counts += map(len, tokenizer(batch, add_special_tokens=False, verbose=False)["input_ids"])
    return np.asarray(counts, dtype=np.int64)


def history_counter(tokenizer: Tokenizer, *, remember: int = 64) -> Callable[[History], int]:
    """Return a function that counts the tokens of a history (its records' bodies) with this tokenizer.

    Records are counted separately, as they are encoded. The last `remember` results are kept under a digest of the
    texts; no text is kept.
    """
    known: LRU[int] = LRU(remember)

    def count(history: History) -> int:
        bodies = [sanitize(record.body) for record in history]
        key = digest(*bodies)
        total = known.get(key)
        if total is None:
            total = int(count_each(tokenizer, bodies).sum())
            known.put([(key, total)])
        return total

    return count


def resolve_budget(budget: int | str, history_tokens: int) -> int:
    """Return a budget in tokens from 200, "200", "2%" (of the history, rounded down, at least 1) or "auto"
    (`BUDGET_SHARE`, but at least `BUDGET_FLOOR`).

    Raises `InputError` for anything else and for zero or less.
    """
    text = str(budget).strip()
    if text == "auto":
        return max(BUDGET_FLOOR, resolve_budget(BUDGET_SHARE, history_tokens))
    try:
        if isinstance(budget, bool):
            raise ValueError
        if text.endswith("%"):
            share = float(text[:-1])
            if not math.isfinite(share):
                raise ValueError
            tokens = max(1, int(share * history_tokens / 100)) if share > 0 else 0
        else:
            tokens = int(text)
    except ValueError:
        raise InputError(
            f"budget {budget!r} is not a number of tokens: expected 200, '2%' (of the history), or 'auto'"
        ) from None
    if tokens < 1:
        raise InputError(f"budget {budget!r} is too small: expected at least 1 token, or a share above 0%")
    return tokens


def fill(costs: Sequence[int], marks: Sequence[float], budget: int, *, scale: float | None = None) -> list[int]:
    """Choose segments with a total cost of at most `budget`; returns their positions, ascending.

    costs: tokens of each segment. marks: any real numbers, higher is better; `scale` is the difference that counts as
    much better (default: their standard deviation).

    A mark is a value per token, not per segment: long evidence is worth more than short chatter with the same mark. A
    segment's value is therefore cost x exp(mark / scale), and taking segments in the order of their marks is optimal
    except for the last few, where the next one doesn't fit. So: take by mark until one doesn't fit; give back the last
    few that are not much better than that one (at most `REOPENED`, and never the better half); fill the space exactly,
    by dynamic programming over the best candidates; then add whatever still fits, best first. No segment can be added
    to the result.
    """
    cost = np.maximum(np.asarray(costs, dtype=np.int64), 1)
    mark = np.asarray(marks, dtype=np.float64)
    if cost.shape != mark.shape:
        raise ValueError(f"{cost.size} costs for {mark.size} marks")
    if not cost.size or budget < 1:
        return []
    order = np.argsort(-mark, kind="stable")
    spent = np.cumsum(cost[order])
    fits = int(np.searchsorted(spent, budget, side="right"))
    if fits == len(order):
        return list(range(len(order)))
    spread = float(mark.std()) if scale is None else scale
    head = _closed(mark[order], fits, spread)
    room = budget - (int(spent[head - 1]) if head else 0)
    pool = order[head : head + POOL]
    pool = pool[cost[pool] <= room]
    if len(pool) * (room + 1) > DP_CELLS:
        pool = pool[:0]
    taken = np.zeros(len(order), dtype=bool)
    taken[order[:head] if len(pool) else order[:fits]] = True
    if len(pool):
        worth = np.exp((mark[pool] - mark[pool].max()) / spread) if spread > 0 else np.ones(len(pool))
        # the floor keeps low-marked segments usable as filling
        taken[pool[_pack(cost[pool], cost[pool] * np.maximum(worth, 1e-9), room)]] = True
    _top_up(taken, order, cost, budget)
    return [int(i) for i in np.flatnonzero(taken)]


def _closed(ranked: npt.NDArray[np.float64], fits: int, spread: float) -> int:
    """Return how many of the `fits` best are final; the others may be exchanged."""
    head = fits
    while fits - head < min(REOPENED, fits // 2) and ranked[head - 1] - ranked[fits] <= spread:
        head -= 1
    return head


def _pack(cost: npt.NDArray[np.int64], value: npt.NDArray[np.float64], room: int) -> list[int]:
    """Solve the 0/1 knapsack exactly: positions with the largest total value whose costs fit into `room`."""
    best = np.zeros(room + 1)
    took = np.zeros((len(cost), room + 1), dtype=bool)
    for i, (c, v) in enumerate(zip(cost, value, strict=True)):
        with_it = best[: room + 1 - c] + v
        better = with_it > best[c:]
        took[i, c:] = better
        best[c:] = np.where(better, with_it, best[c:])
    chosen = []
    for i in range(len(cost) - 1, -1, -1):
        if took[i, room]:
            chosen.append(i)
            room -= int(cost[i])
    return chosen


def _top_up(
    taken: npt.NDArray[np.bool_], order: npt.NDArray[np.intp], cost: npt.NDArray[np.int64], budget: int
) -> None:
    """Add every further segment that fits, best first. Changes `taken`."""
    left = budget - int(cost[taken].sum())
    rest = order[~taken[order]]
    while left > 0 and len(rest):
        rest = rest[cost[rest] <= left]
        if not len(rest):
            break
        taken[rest[0]] = True
        left -= int(cost[rest[0]])
        rest = rest[1:]
