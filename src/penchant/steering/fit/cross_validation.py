"""Cross-validation: whether a user's vectors help on held-out answers, and vectors with one answer or user left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from penchant.errors import InputError
from penchant.inference.intervention import Intervention, stack
from penchant.inference.likelihood import losses
from penchant.inference.sites import Site
from penchant.models.loading import LoadedModel
from penchant.steering.apply.context import Level, ValidationResult
from penchant.steering.apply.similarity import Scorer
from penchant.steering.config import SteeringConfig
from penchant.steering.data.contrast import PromptTemplate, Sample
from penchant.steering.extract.extractor import exchange_of
from penchant.steering.storage.bank import Bank, drop
from penchant.store.erasure.lineage import source_of

MOST_HELD_OUT = 12
"""Most held-out answers per user."""
FEWEST_SAMPLES = 4
"""With fewer samples nothing can be validated, and what helps other users is trusted."""
_UNIT = 2.0**32
_LARGEST = 2.0**62
_KEYS = "keys"


def validate_user(
    loaded: LoadedModel, config: SteeringConfig, samples: Sequence[Sample], bank: Bank, *, template: PromptTemplate
) -> ValidationResult:
    """Check whether the user's vectors make the user's own held-out answers likelier, and more so than the
    population's.

    samples: those of the bank's rows, in order. If the user's vectors don't help, the population's are used, or none.
    Raises `InputError` for other samples.
    """
    if [row.contrast for row in bank.rows] != [sample.id for sample in samples]:
        raise InputError("samples that aren't those of the bank's rows, in order: read the bank again")
    common = config.common() if config.base or config.population else None
    if config.strength == 0 and common is None:
        return ValidationResult("none", reason=f"{config.method} helped none of the users that it was fitted on")
    if len(bank) < FEWEST_SAMPLES:
        level: Level = "own" if config.strength else "population"
        return ValidationResult(level, reason=f"too few samples to check ({len(bank)} of {FEWEST_SAMPLES})")
    numbers = evenly_spread(len(bank), MOST_HELD_OUT)
    count = len(numbers)
    exchanges = [exchange_of(loaded, samples[number], template) for number in numbers]
    scorer = Scorer(config.similarity, {sample.id: sample.request.query for sample in samples})
    by_own = leave_one_out({"": bank}, [("", number) for number in numbers], config, scorer=scorer)
    by_common = [] if common is None else [config.common(count)]
    unsteered, *steered = losses(loaded, exchanges, [None, by_own, *by_common])
    own_gains, *common_gains = [unsteered - one for one in steered]
    own, others = float(own_gains.mean()), float(common_gains[0].mean()) if common_gains else 0.0
    # The noise of a dozen answers shouldn't remove a user's own vectors: they must be worse by more than the noise.
    difference = own_gains - (common_gains[0] if common_gains else 0.0)
    slack = mean_over_users(difference, [str(number) for number in numbers])[1]
    if config.strength and own > 0 and own >= others - slack:
        return ValidationResult("own", own, others, count)
    why = f"on {count} held-out answers the user's own vectors gain {own:+.3f} nats a token"
    if others > 0:
        return ValidationResult("population", own, others, count, f"{why}, the population's {others:+.3f}")
    return ValidationResult("none", own, others, count, f"{why}: nothing is written")


def evenly_spread(count: int, most: int) -> list[int]:
    """Return at most `most` of the numbers below `count`, each in the middle of its share."""
    most = min(most, count)
    return [(2 * index + 1) * count // (2 * most) for index in range(most)]


def mean_over_users(gains: Float[Tensor, " answers"], users: Sequence[str]) -> tuple[float, float]:
    """Return the mean over users of each user's mean, and its standard error (infinite for one user)."""
    means = torch.stack(
        [gains[torch.tensor([one == user for one in users])].mean() for user in dict.fromkeys(users)]
    ).double()
    error = float(means.std() / len(means) ** 0.5) if len(means) > 1 else float("inf")
    return float(means.mean()), error


def leave_one_out(
    banks: Mapping[str, Bank],
    held_out: Sequence[tuple[str, int]],
    config: SteeringConfig,
    *,
    scorer: Scorer | None = None,
    alone: bool = False,
    bases: Sequence[Mapping[Site, Tensor]] | None = None,
) -> Intervention:
    """For each (user, position), return the intervention that the user's other samples give for that sample's input,
    one row each. If age counts, only earlier samples are used, with their age at the time.

    scorer: with the inputs of all rows (default: by hidden states, which needs none). alone: leave the user out of the
    population (computed from `banks`). bases: one for each of `held_out`, instead of the configuration's, which may be
    derived from the user's samples.
    """
    scorer = scorer or Scorer(config.similarity)
    scores, rest, nows = [], [], []
    population = population_of(banks) if alone and len(banks) > 1 else None
    users = [user for user, _ in held_out]
    centre = population.centres_without(users) if population else None
    for index, (user, number) in enumerate(held_out):
        bank = banks[user]
        others, now = drop(bank, [bank.rows[number].contrast]), None
        if config.aggregation.half_life is not None:
            others, now = _until(others, bank.rows[number].when)
        rest.append(others)
        nows.append(now)
        text = scorer.texts.get(bank.rows[number].contrast, "")
        shared = config.centre if centre is None else centre[index]
        scores.append(scorer.scores(others, text, bank.keys[number], shared))
    if population is None and bases is None and not any(nows):
        return config.apply(rest, scores)[0]
    commons = _rows(population.without(users)) if population else [config.population] * len(held_out)
    rows = []
    for index, common in enumerate(commons):
        given = replace(config, population=common)
        vectors = given.apply([rest[index]], [scores[index]], nows[index])[1].vectors
        rows.append((given if bases is None else replace(given, base=bases[index])).around(vectors))
    return stack(rows) or rows[0]


def _until(bank: Bank, when: datetime | None) -> tuple[Bank, datetime | None]:
    """Return the rows up to a time, and the time. Without one, all rows, with ages relative to the newest."""
    times = [row.when for row in bank.rows if row.when is not None]
    if when is None:
        return bank, max(times, default=None)
    return drop(bank, [row.contrast for row in bank.rows if row.when is not None and row.when > when]), when


def _rows(table: Mapping[Site, Tensor]) -> list[dict[Site, Tensor]]:
    return [{site: rows[index] for site, rows in table.items()} for index in range(len(next(iter(table.values()))))]


@dataclass(frozen=True)
class Population:
    """The part common to all users: the mean over users of the mean of each one's rows; any user can be left out
    exactly. Sums are of integers (multiples of 2^-32), so that their order doesn't matter: leaving a user out gives
    bitwise the same vectors as never having seen that user.

    users: hashes, sorted. counts: rows of each user. sums: site -> float64 [users, width], of each user's rows. keys:
    float64 [users, width], the same for the keys.
    """

    users: tuple[str, ...]
    counts: Int[Tensor, " users"]
    sums: Mapping[Site, Float[Tensor, "users _"]]
    keys: Float[Tensor, "users _"]

    def mean(self) -> dict[Site, Float[Tensor, " _"]]:
        """Return the population vector of all users at each site; zero without users."""
        return {site: rows[0] for site, rows in self._without([None]).items() if isinstance(site, Site)}

    def without(self, users: Sequence[str]) -> dict[Site, Float[Tensor, "users _"]]:
        """For each of `users` (ids), return the population vector of all others; zero if there are none."""
        return {site: rows for site, rows in self._without(users).items() if isinstance(site, Site)}

    def centres_without(self, users: Sequence[str]) -> Float[Tensor, "users _"]:
        """For each of `users`, return the mean key of all others, the centre of comparisons; zero without others."""
        return self._without(users)[_KEYS]

    @cached_property
    def _units(self) -> dict[Site | str, tuple[Tensor, Tensor]]:
        """For each site and the keys: every user's mean in integer units, int64 [users, width], and their sum."""
        found: dict[Site | str, tuple[Tensor, Tensor]] = {}
        tables: list[tuple[Site | str, Tensor]] = [*self.sums.items(), (_KEYS, self.keys)]
        for name, sums in tables:
            means = sums / self.counts[:, None].clamp(min=1)
            if means.numel() and float(means.abs().max()) * _UNIT * len(self.users) > _LARGEST:
                raise InputError(
                    f"vectors at {name} are too large to be added up exactly: expected less than 2^30 / users"
                )
            units = (means * _UNIT).round().to(torch.int64)
            found[name] = units, units.sum(0)
        return found

    def _without(self, users: Sequence[str | None]) -> dict[Site | str, Tensor]:
        known = {user: index for index, user in enumerate(self.users)}
        indices = [-1 if user is None else known.get(source_of(user).user, -1) for user in users]
        there = torch.tensor([index >= 0 for index in indices])
        others = (len(self.users) - there.long())[:, None].clamp(min=1)
        found = {}
        for name, (units, total) in self._units.items():
            own = units[indices] * there[:, None] if len(units) else torch.zeros(len(indices), units.shape[1]).long()
            found[name] = ((total - own).double() / others / _UNIT).float()
        return found


def population_of(banks: Mapping[str, Bank]) -> Population:
    """Return the population of these users (ids). Users without rows are ignored.

    Raises `InputError` without banks, or for banks of different models, readings, keys or sites.
    """
    if not banks:
        raise InputError("a population of no banks: expected at least one")
    like = next(iter(banks.values()))
    if any(bank.identity != like.identity for bank in banks.values()):
        raise InputError("a population of banks of different models, readings, keys or sites: expected the same")
    named = sorted((source_of(user).user, bank) for user, bank in banks.items() if len(bank))
    chosen = [bank for _, bank in named]
    return Population(
        tuple(name for name, _ in named),
        torch.tensor([len(bank) for bank in chosen], dtype=torch.int64),
        {site: _sums((bank.vectors[site] for bank in chosen), like.vectors[site].shape[1]) for site in like.sites},
        _sums((bank.keys for bank in chosen), like.keys.shape[1]),
    )


def _sums(tables: Iterable[Tensor], width: int) -> Tensor:
    return torch.stack([torch.zeros(width, dtype=torch.float64), *(table.double().sum(0) for table in tables)])[1:]
