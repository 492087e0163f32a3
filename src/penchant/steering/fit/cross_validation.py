"""Cross-validation: the effect of a choice on held-out answers of the users that it is fitted on."""

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
from penchant.progress import Progress, no_progress
from penchant.steering.apply.similarity import Scorer, Similarity
from penchant.steering.config import SteeringConfig
from penchant.steering.data.contrast import Sample
from penchant.steering.extract.extractor import ActivationExtractor, PromptTemplate, exchange_of
from penchant.steering.extract.vectors import default_key
from penchant.steering.methods.method import VectorMethod
from penchant.steering.storage.bank import Bank, drop
from penchant.store.erasure.lineage import source_of

SCOPE = "last_1"
"""From the prompt's last token on, where the answer's first token is predicted. On SmolLM2 this doubles the gain of
steering after the prompt only, and only that one token of a cached prefix is read again.
"""
PER_USER = 3
"""Held-out answers per user."""
_UNIT = 2.0**32
_LARGEST = 2.0**62
_KEYS = "keys"


@dataclass(frozen=True)
class CrossValidation:
    """The users to fit on, their samples, and which of these are held out in turn."""

    loaded: LoadedModel
    method: VectorMethod
    template: PromptTemplate
    samples: Mapping[str, Sequence[Sample]]
    scope: str = SCOPE
    per_user: int = PER_USER
    progress: Progress = no_progress
    similarity: Similarity = "hidden"

    @cached_property
    def scorer(self) -> Scorer:
        """Return the scorer that compares held-out inputs with the others."""
        samples = [sample for samples in self.samples.values() for sample in samples]
        return Scorer(self.similarity, {sample.id: sample.request.query for sample in samples})

    def banks(
        self, bases: Mapping[str, Intervention | None], sites: Sequence[Site], origin: str, step: str
    ) -> dict[str, Bank]:
        """Read the banks at `sites` of the users in `bases`, in that order. bases: the intervention while a user's
        samples are read (None: none). origin: see `SteeringConfig.origin`. step: the name shown in the progress.
        """
        extractor = ActivationExtractor(
            self.loaded, self.template, self.method.reading, default_key(self.loaded), self.scope, None, self.samples
        )
        total, done = sum(len(self.samples[user]) for user in bases), 0
        found: dict[str, Bank] = {}
        for user, base in bases.items():

            def progress(_: str, read: int, of_user: int | None, before: int = done) -> None:
                self.progress(step, before + read, total)

            one = replace(extractor, base=base, progress=progress)
            found[user] = one.bank(user, self.samples[user], sites, origin)
            done += len(self.samples[user])
        return found

    def held_out(self) -> list[tuple[str, int]]:
        """Return (user, position of the sample), evenly spread over each user's samples."""
        found = []
        for user, samples in self.samples.items():
            found += [(user, number) for number in evenly_spread(len(samples), self.per_user)]
        return found

    def gains(
        self, held_out: Sequence[tuple[str, int]], interventions: Sequence[Intervention]
    ) -> list[tuple[float, float]]:
        """Return, for each intervention (a row per held-out answer), the mean gain over users, in nats per token, and
        its standard error.
        """
        exchanges = [exchange_of(self.loaded, self.samples[user][number], self.template) for user, number in held_out]
        found = losses(self.loaded, exchanges, [None, *interventions], progress=self.progress)
        users = [user for user, _ in held_out]
        return [mean_over_users(found[0] - row, users) for row in found[1:]]


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
