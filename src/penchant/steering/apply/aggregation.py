"""Aggregation: from a bank and the scores of its rows to the vectors of one request. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError
from penchant.inference.sites import Site
from penchant.steering.storage.bank import Bank

Weighting = Literal["uniform", "softmax"]
Vectors = dict[Site, Float[Tensor, "users _"]]
_Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Aggregation:
    """How rows become one vector: v = pop_share * v_pop + own_share * n / (n + shrinkage) * (v_user - v_pop).

    v_user is the weighted mean of the `top` rows of the highest scores (None: all). weights: "uniform", or "softmax" of
    score / temperature; either is halved for every `half_life` days of a row's age (None: age doesn't matter; a row
    without a time doesn't age). shrinkage: how many samples the population counts as. With both shares at 1 that is v =
    (n v_user + c v_pop) / (n + c). own_share alone (pop_share 0) is the user's personal part.

    n is the effective sample size, 1 / sum of squared weights: v_user has the variance of a mean of n samples, however
    many the bank holds, and shrinkage in this proportion is optimal for a normal prior.

    Raises `InputError` for a value out of range.
    """

    top: int | None = 5
    weights: Weighting = "softmax"
    temperature: float | int = 0.1
    half_life: float | int | None = None
    shrinkage: float | int = 0.0
    pop_share: float | int = 1.0
    own_share: float | int = 1.0

    def __post_init__(self) -> None:
        if self.weights not in ("uniform", "softmax"):
            raise InputError(f"weights {self.weights!r}: expected uniform or softmax")
        bad = {
            "top": self.top is not None and self.top < 1,
            "temperature": not 0 < self.temperature < math.inf,
            "half_life": self.half_life is not None and not 0 < self.half_life < math.inf,
            "shrinkage": not 0 <= self.shrinkage < math.inf,
            "pop_share": not math.isfinite(self.pop_share),
            "own_share": not math.isfinite(self.own_share),
        }
        for name in (name for name, wrong in bad.items() if wrong):
            raise InputError(
                f"{name} is {getattr(self, name)}: expected a top of at least 1, a temperature and a half-life above "
                "0, a shrinkage of 0 or more, and finite shares"
            )

    def __str__(self) -> str:
        """In a few words."""
        top = "all" if self.top is None else f"top {self.top}"
        weights = self.weights if self.weights == "uniform" else f"softmax {self.temperature:g}"
        shrunk = f", shrunk by {self.shrinkage:g}" if self.shrinkage else ""
        aged = f", halved every {self.half_life:g} days" if self.half_life is not None else ""
        share = f", own share {self.own_share:g}" if self.own_share != 1 else ""
        return f"{top}, {weights}{shrunk}{aged}{share}"


@dataclass(frozen=True)
class Term:
    """One row in a vector. record: its id ("": feedback). weight: those of a vector sum to 1. contrast, score: of the
    bank's row. days: its age; None: it has no time.
    """

    record: str
    weight: float
    contrast: str = ""
    score: float = 0.0
    days: float | None = None


@dataclass(frozen=True)
class Aggregate:
    """Aggregated vectors. vectors: site -> float32 [users, width]. samples: each user's effective sample size (see
    `Aggregation`), 0 without rows. `terms` gives the rows.
    """

    vectors: Vectors
    samples: tuple[float, ...]
    banks: tuple[Bank, ...]
    choice: _Choice

    def terms(self, user: int) -> list[Term]:
        """Return the rows in a user's vectors, the heaviest first."""
        bank, choice = self.banks[user], self.choice
        there = choice.weights[user] > 0
        columns = (table[user][there].tolist() for table in (choice.rows, choice.weights, choice.scores, choice.ages))
        found = [
            Term(bank.rows[row].record, weight, bank.rows[row].contrast, score, None if math.isnan(age) else age)
            for row, weight, score, age in zip(*columns, strict=True)
        ]
        return sorted(found, key=lambda term: -term.weight)


def aggregate(
    banks: Sequence[Bank],
    scores: Sequence[Float[Tensor, " _"]],
    aggregation: Aggregation | None = None,
    *,
    population: Mapping[Site, Float[Tensor, "users _"]] | None = None,
    now: datetime | None = None,
) -> Aggregate:
    """Aggregate vectors for a batch of requests: for each, its user's bank and a score for each of the bank's rows.

    population: a row per user, of the other users only (`Population.without`); a user without rows gets pop_share times
    it. Without one, v_pop is zero. now: the time from which ages are counted (default: the current time). Rows with
    equal scores are taken in the order of their contrast ids, so that the result doesn't depend on the order of a bank.

    Raises `InputError` for banks of other sites, a wrong number of scores, or scores that aren't finite.
    """
    aggregation = aggregation or Aggregation()
    _check(banks, scores, population)
    choice = _choose(banks, scores, aggregation, _days(now or datetime.now(UTC)))
    squares = np.square(choice.weights).sum(1)
    samples = np.divide(1, squares, out=np.zeros_like(squares), where=squares > 0)
    share = np.divide(samples, samples + aggregation.shrinkage, out=np.zeros_like(samples), where=samples > 0)
    trust = torch.from_numpy((share * aggregation.own_share).astype(np.float32))[:, None]
    vectors = {}
    for site in banks[0].sites:
        own = _mixed(banks, choice, site)
        if population is None:
            vectors[site] = trust * own
        else:
            base = population[site]
            # Bitwise the population's if nothing is known about the user: zero is added.
            vectors[site] = aggregation.pop_share * base + trust * (own - base)
    return Aggregate(vectors, tuple(samples.tolist()), tuple(banks), choice)


@dataclass(frozen=True)
class _Choice:
    """The rows in use, [users, largest number of rows]: best score first, padded with weight 0."""

    rows: npt.NDArray[np.intp]
    weights: _Array
    scores: _Array
    ages: _Array


def _choose(banks: Sequence[Bank], scores: Sequence[Tensor], aggregation: Aggregation, today: float) -> _Choice:
    counts = np.array([len(bank) for bank in banks])
    most = int(min(counts.max(), aggregation.top or counts.max()))
    starts = np.cumsum(counts) - counts
    user = np.repeat(np.arange(len(banks)), counts)
    flat = torch.cat(list(scores)).double().numpy()
    order = np.lexsort((np.concatenate([bank.tie_order for bank in banks]), -flat, user))
    rank = np.arange(len(flat)) - starts[user]  # each user's rows are contiguous, before and after sorting
    order, at = order[rank < most], (user[rank < most], rank[rank < most])

    def table(values: npt.NDArray[Any], empty: float | int) -> npt.NDArray[Any]:
        wide = np.full((len(banks), most), empty, dtype=values.dtype)
        wide[at] = values[order]
        return wide

    ages = table(today - np.concatenate([bank.days for bank in banks]), np.nan)
    ranked = table(flat, -np.inf)
    # In logarithms: nothing overflows, and the weights of very old rows still sum to 1.
    logs = (
        ranked / aggregation.temperature
        if aggregation.weights == "softmax"
        else np.where(np.isfinite(ranked), 0.0, ranked)
    )
    if aggregation.half_life is not None:
        logs = logs - math.log(2) / aggregation.half_life * np.nan_to_num(ages, nan=0.0).clip(min=0)
    top = logs.max(1, keepdims=True, initial=-np.inf)
    weights = np.exp(logs - np.where(np.isfinite(top), top, 0.0))
    total = weights.sum(1, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return _Choice(table(np.arange(len(flat)) - starts[user], 0), weights, ranked, ages)


def _mixed(banks: Sequence[Bank], choice: _Choice, site: Site) -> Float[Tensor, "users _"]:
    """Return the weighted mean of each user's rows in use; zero without rows."""
    mixed = np.zeros((len(banks), banks[0].vectors[site].shape[1]), dtype=np.float32)
    weights = choice.weights.astype(np.float32)
    for user, bank in enumerate(banks):
        rows, given = choice.rows[user, : len(bank)], weights[user, : len(bank)]
        table = bank.vectors[site].numpy()
        if len(rows) < len(bank):
            np.dot(given, table[rows], out=mixed[user])
        elif len(rows):  # all rows: reorder the weights, not the vectors
            sorted_weights = np.empty_like(given)
            sorted_weights[rows] = given
            np.dot(sorted_weights, table, out=mixed[user])
    return torch.from_numpy(mixed)


def _days(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() / 86_400


def _check(banks: Sequence[Bank], scores: Sequence[Tensor], population: Mapping[Site, Tensor] | None) -> None:
    if not banks or len(banks) != len(scores):
        raise InputError(f"{len(scores)} sets of scores for {len(banks)} banks: expected one each, and at least one")
    for bank, score in zip(banks, scores, strict=True):
        if bank.model != banks[0].model or bank.sites != banks[0].sites:
            raise InputError("banks of different models or sites in one batch: expected the same")
        if score.shape != (len(bank),):
            raise InputError(f"scores of shape {list(score.shape)} for a bank of {len(bank)} rows: expected one each")
    if not bool(torch.cat(list(scores)).isfinite().all()):
        raise InputError("scores that aren't finite: expected numbers")
    for site in banks[0].sites if population is not None else ():
        if population is None or site not in population or population[site].shape[0] != len(banks):
            raise InputError(f"the population's vectors at {site} aren't one row for each of {len(banks)} users")
