"""How well scores find the evidence, with confidence intervals."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from penchant.errors import InputError
from penchant.lens.conditional_logit import area_under_curve

_ROUNDS_AT_ONCE = 500


class Interval(NamedTuple):
    """A mean with the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


def auc(scores: npt.ArrayLike, positives: Sequence[int]) -> float:
    """How often a positive segment outscores another one, ties counting half: the area under the ROC curve.

    scores: [segments]. positives: positions in it. Raises `InputError` unless both kinds are there.
    """
    values, positive = _checked(scores, positives)
    if positive.all():
        raise InputError("every segment is evidence: expected at least one that isn't; AUC compares the two kinds")
    return area_under_curve(values, np.flatnonzero(positive).tolist())


def recall_at_k(scores: npt.ArrayLike, k: int, positives: Sequence[int]) -> float:
    """Share of the positives among the `k` best segments; ties keep time order. Raises `InputError` for none."""
    values, positive = _checked(scores, positives)
    return float(positive[_ranked(values)[:k]].sum() / positive.sum())


def recall_at_budget(scores: npt.ArrayLike, costs: Sequence[int], budget: int, positives: Sequence[int]) -> float:
    """Share of the positives that a budget of tokens takes in.

    Segments are gone through from the highest score to the lowest, ties in time order; each is taken if its cost
    fits what is left, and otherwise skipped. costs: [segments], tokens. Raises `InputError` for no positives.
    """
    values, positive = _checked(scores, positives)
    if len(costs) != len(values):
        raise InputError(f"{len(costs)} costs for {len(values)} segments: expected one each")
    left, got = budget, 0
    for segment in _ranked(values):
        if costs[segment] <= left:
            left -= costs[segment]
            got += bool(positive[segment])
    return float(got / positive.sum())


def bootstrap(
    values: npt.ArrayLike, seed: int = 0, rounds: int = 10_000, clusters: Sequence[Hashable] | None = None
) -> Interval:
    """Mean of the values, with the 2.5 and 97.5 percentiles of the means of `rounds` resamples.

    values: [questions]. clusters: of each value, what it belongs to (a conversation); whole clusters are then
    resampled, which is right where questions of one cluster go up and down together. Raises `InputError` for no
    values, or one that is not finite.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or not len(numbers) or not np.isfinite(numbers).all():
        raise InputError(f"can't resample values of shape {numbers.shape}: expected at least one, all of them finite")
    if clusters is not None and len(clusters) != len(numbers):
        raise InputError(f"{len(clusters)} clusters for {len(numbers)} values: expected one each")
    positions: dict[Hashable, int] = {}
    labels = range(len(numbers)) if clusters is None else clusters
    member = [positions.setdefault(label, len(positions)) for label in labels]
    sums, sizes = np.bincount(member, weights=numbers), np.bincount(member)
    rng = np.random.default_rng(seed)
    means = []
    for start in range(0, rounds, _ROUNDS_AT_ONCE):
        # Drawing n of n with replacement is drawing how often each is drawn.
        drawn = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=min(_ROUNDS_AT_ONCE, rounds - start))
        means.append((drawn @ sums) / (drawn @ sizes))
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return Interval(float(numbers.mean()), float(low), float(high))


def paired_bootstrap(
    a: npt.ArrayLike, b: npt.ArrayLike, seed: int = 0, rounds: int = 10_000, clusters: Sequence[Hashable] | None = None
) -> Interval:
    """`bootstrap` of a - b, question by question: what both find easy or hard cancels out.

    A tie is excluded when `low` and `high` lie on one side of zero. Raises `InputError` unless a and b are of one
    length.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise InputError(f"{len(first)} values against {len(second)}: expected the same questions on both sides")
    return bootstrap(first - second, seed, rounds, clusters)


def _ranked(values: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    return np.argsort(-values, kind="stable")


def _checked(scores: npt.ArrayLike, positives: Sequence[int]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    values = np.asarray(scores, dtype=np.float64)
    if not len(positives):
        raise InputError("no evidence: expected the position of at least one positive segment; drop the question")
    if min(positives) < 0 or max(positives) >= len(values):
        raise InputError(f"evidence at {sorted(positives)} of {len(values)} segments: expected positions from 0")
    positive = np.zeros(len(values), dtype=np.bool_)
    positive[list(positives)] = True
    return values, positive
