"""Intervals for the figures of a bench: means, ratios of means, and figures over all items.

Whole clusters (users, or single items) are drawn with replacement. Every figure of one set of items meets the same
draws, so figures can be subtracted and divided draw by draw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from penchant_lab.measures.metrics import Interval

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

FEWEST = 6
"""Clusters that an interval takes. With fewer, even all of them on one side is no evidence at 95 % (sign test)."""

_AT_ONCE = 500
_MOST_DRAWS = 2 * 10**7


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval (None with fewer than `FEWEST` clusters), of `n` items."""

    mean: float
    low: float | None
    high: float | None
    n: int

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval lies above or below zero, else 0."""
        if self.low is None or self.high is None:
            return 0
        return 1 if self.low > 0 else -1 if self.high < 0 else 0

    @property
    def interval(self) -> Interval | None:
        return None if self.low is None or self.high is None else Interval(self.mean, self.low, self.high)


@dataclass(frozen=True)
class Answers:
    """Numbers predicted and true, float [answers], each of the item at `item` [answers], counting `weight`."""

    predicted: Floats
    true: Floats
    item: Ints
    weight: Floats


Figure = Callable[[Floats, Floats, Floats], Floats]
"""As `scores.Metric.of_all`: (predicted, true, weights [resamples, answers]) -> [resamples]."""


@dataclass(frozen=True)
class Resampling:
    """cluster: int [items], which cluster each item belongs to.

    rounds: resamples; of more than 2,000 clusters fewer, at least 1,000, so that time stays bounded.
    """

    cluster: Ints
    seed: int = 0
    rounds: int = 10_000

    def means(self, values: Floats) -> list[Estimate | None]:
        """The mean of every column of float [items, columns] over the items where it isn't NaN; None without one."""
        there = np.isfinite(values)
        found: list[Estimate | None] = [None] * values.shape[1]
        # Columns of the same items share a pass over the draws.
        for mask in {column.tobytes(): column for column in there.T}.values():
            if not mask.any():
                continue
            columns = [at for at in range(values.shape[1]) if np.array_equal(there[:, at], mask)]
            sums, sizes, n = self._sums(values[mask][:, columns], mask)
            samples = np.concatenate([(drawn @ sums) / (drawn @ sizes)[:, None] for drawn in self._draws(len(sizes))])
            for position, at in enumerate(columns):
                found[at] = _estimate(float(values[mask, at].mean()), samples[:, position], n, len(sizes))
        return found

    def mean(self, values: Floats) -> Estimate | None:
        """`means` of one column, float [items]."""
        return self.means(values[:, None])[0]

    def ratio(self, top: Floats, bottom: Floats) -> Estimate | None:
        """Mean of `top` over mean of `bottom`, float [items] each, over the items that have both, resampled as pairs.

        None without such an item, or where the mean of the bottom is 0.
        """
        mask = np.isfinite(top) & np.isfinite(bottom)
        if not mask.any() or bottom[mask].mean() == 0:
            return None
        sums, sizes, n = self._sums(np.stack([top, bottom], axis=1)[mask], mask)
        with np.errstate(divide="ignore", invalid="ignore"):
            samples = np.concatenate(
                [pair[:, 0] / pair[:, 1] for pair in (drawn @ sums for drawn in self._draws(len(sizes)))]
            )
        return _estimate(float(top[mask].mean() / bottom[mask].mean()), samples, n, len(sizes))

    def figure(self, of_all: Figure, answers: Answers, minus: Answers | None = None) -> Estimate | None:
        """A figure of all answers together, or its difference between two sets of answers to the same items.

        None without answers, or where the figure isn't defined.
        """
        sides = [answers] if minus is None else [answers, minus]
        items = sorted(set.intersection(*(set(side.item.tolist()) for side in sides)))
        if not items:
            return None
        mask = np.zeros(len(self.cluster), dtype=np.bool_)
        mask[items] = True
        members, clusters = self._members(mask)
        position = np.full(len(self.cluster), -1)
        position[mask] = members
        points, samples = [], []
        for side in sides:
            kept = mask[side.item]
            predicted, true, weight = side.predicted[kept], side.true[kept], side.weight[kept]
            points.append(float(of_all(predicted, true, weight[None])[0]))
            at = position[side.item[kept]]
            samples.append(
                np.concatenate([of_all(predicted, true, drawn[:, at] * weight) for drawn in self._draws(clusters)])
            )
        if len(sides) == 2:
            points, samples = [points[0] - points[1]], [samples[0] - samples[1]]
        return _estimate(points[0], samples[0], len(items), clusters) if np.isfinite(points[0]) else None

    def _members(self, mask: npt.NDArray[np.bool_]) -> tuple[Ints, int]:
        different, members = np.unique(self.cluster[mask], return_inverse=True)
        return members.astype(np.intp), len(different)

    def _sums(self, values: Floats, mask: npt.NDArray[np.bool_]) -> tuple[Floats, Floats, int]:
        members, clusters = self._members(mask)
        sums = np.stack([np.bincount(members, column, clusters) for column in values.T], axis=1).astype(np.float64)
        return sums, np.bincount(members, minlength=clusters).astype(np.float64), int(mask.sum())

    def _draws(self, clusters: int) -> Iterator[Floats]:
        """How often each cluster is drawn, float [resamples, clusters], some resamples at a time."""
        drawn = _drawn(clusters, self.seed, min(self.rounds, max(1000, _MOST_DRAWS // clusters)))
        for start in range(0, len(drawn), _AT_ONCE):
            yield drawn[start : start + _AT_ONCE].astype(np.float64)


def _estimate(mean: float, samples: Floats, n: int, clusters: int) -> Estimate:
    finite = samples[np.isfinite(samples)]
    if clusters < FEWEST or not len(finite):
        return Estimate(mean, None, None, n)
    low, high = np.percentile(finite, [2.5, 97.5])
    return Estimate(mean, float(low), float(high), n)


@lru_cache(maxsize=3)
def _drawn(clusters: int, seed: int, rounds: int) -> npt.NDArray[np.uint16]:
    rng = np.random.default_rng(seed)
    counts = np.empty((rounds, clusters), dtype=np.uint16)
    for start in range(0, rounds, _AT_ONCE):
        some = min(_AT_ONCE, rounds - start)
        picks = rng.integers(0, clusters, (some, clusters)) + clusters * np.arange(some)[:, None]
        counts[start : start + some] = np.bincount(picks.ravel(), minlength=some * clusters).reshape(some, clusters)
    counts.flags.writeable = False
    return counts
