"""What is common to all users: the mean over users of the mean of each one's rows, with any user left out exactly.

Sums are of integers (multiples of 2^-32), which come out the same in any order: leaving a user out and
never having seen one give the same vectors, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from penchant.errors import InputError
from penchant.inference.sites import Site
from penchant.steering.storage.bank import Bank
from penchant.store.erasure.lineage import source_of

_UNIT = 2.0**32
_LARGEST = 2.0**62
_KEYS = "keys"


@dataclass(frozen=True)
class Population:
    """users: hashes, sorted. counts: rows of each user. sums: site -> float64 [users, width], of each user's rows.
    keys: float64 [users, width], the same of the keys."""

    users: tuple[str, ...]
    counts: Int[Tensor, " users"]
    sums: Mapping[Site, Float[Tensor, "users _"]]
    keys: Float[Tensor, "users _"]

    def mean(self) -> dict[Site, Float[Tensor, " _"]]:
        """The population vector at each site, of everyone; zero without users."""
        return {site: rows[0] for site, rows in self._without([None]).items() if isinstance(site, Site)}

    def without(self, users: Sequence[str]) -> dict[Site, Float[Tensor, "users _"]]:
        """For each of `users` (ids) the population vector of all others; zero where there are none."""
        return {site: rows for site, rows in self._without(users).items() if isinstance(site, Site)}

    def centres_without(self, users: Sequence[str]) -> Float[Tensor, "users _"]:
        """For each of `users` the mean key of all others: what their keys are compared from; zero without others."""
        return self._without(users)[_KEYS]

    @cached_property
    def _units(self) -> dict[Site | str, tuple[Tensor, Tensor]]:
        """Of each site and the keys: every user's mean in whole units, int64 [users, width], and their sum."""
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
    """The population of these users (ids). Users without rows don't count.

    Raises `InputError` for no banks or banks of different models, readings, keys or sites.
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
