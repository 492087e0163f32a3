"""What is common to all users: the mean over users of the mean of each one's rows, with any user left out exactly.

Sums are of integers (multiples of 2^-32), which come out the same in any order: leaving a user out, removing one and
never having seen one give the same vectors, bit for bit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from penchant.errors import InputError, StoreError
from penchant.history.store.derived import SHARED, Source, source_of, write_shared
from penchant.models.sites import Site
from penchant.steering.bank import Bank, KeySite, Reading, identity

FORMAT = "1"
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
    model: str
    reading: Reading
    key: KeySite

    @property
    def identity(self) -> str:
        """That of the banks; see `Bank.identity`."""
        return identity(self.model, self.reading, self.key, self.sums)

    def mean(self) -> dict[Site, Float[Tensor, " _"]]:
        """The population vector at each site, of everyone; zero without users."""
        return {site: rows[0] for site, rows in self._without([None]).items() if isinstance(site, Site)}

    def without(self, users: Sequence[str]) -> dict[Site, Float[Tensor, "users _"]]:
        """For each of `users` (ids) the population vector of all others; zero where there are none."""
        return {site: rows for site, rows in self._without(users).items() if isinstance(site, Site)}

    def centres_without(self, users: Sequence[str]) -> Float[Tensor, "users _"]:
        """For each of `users` the mean key of all others: what their keys are compared from; zero without others."""
        return self._without(users)[_KEYS]

    def remove(self, user: str) -> Population:
        """The population without a user: what a rebuild without that user gives."""
        name = source_of(user).user
        kept = [place for place, one in enumerate(self.users) if one != name]
        return replace(
            self,
            users=tuple(self.users[place] for place in kept),
            counts=self.counts[kept],
            sums={site: rows[kept] for site, rows in self.sums.items()},
            keys=self.keys[kept],
        )

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
        known = {user: place for place, user in enumerate(self.users)}
        places = [-1 if user is None else known.get(source_of(user).user, -1) for user in users]
        there = torch.tensor([place >= 0 for place in places])
        others = (len(self.users) - there.long())[:, None].clamp(min=1)
        found = {}
        for name, (units, total) in self._units.items():
            own = units[places] * there[:, None] if len(units) else torch.zeros(len(places), units.shape[1]).long()
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
        like.model,
        like.reading,
        like.key,
    )


def save_population(directory: Path, population: Population) -> Path:
    """Write it under `<store>/shared/`, from where any contributor's erasure takes it away. directory: the store's.

    Raises `StoreError` when it can't be written.
    """
    tensors = {str(site): sums.contiguous() for site, sums in population.sums.items()}
    tensors |= {_KEYS: population.keys.contiguous(), "counts": population.counts}
    about = {
        "format": FORMAT,
        "users": json.dumps(population.users),
        "model": population.model,
        "reading": population.reading,
        "key": str(population.key),
    }
    contributors = [Source(user) for user in population.users]
    return write_shared(directory, _file_name(population.identity), save(tensors, about), contributors)


def load_population(directory: Path, identity: str) -> Population | None:
    """The population of banks of this identity, None where there is none (any more). Raises `StoreError` for damage."""
    path = directory / SHARED / _file_name(identity)
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            about = dict(file.metadata() or {})
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if about["format"] != FORMAT:
            return None
        counts, keys = tensors.pop("counts"), tensors.pop(_KEYS)
        users = tuple(map(str, json.loads(about["users"])))
        sums = {Site.parse(name): table for name, table in tensors.items()}
        found = Population(users, counts, sums, keys, about["model"], about["reading"], KeySite.parse(about["key"]))
        if found.identity != identity or any(len(table) != len(users) for table in (counts, keys, *sums.values())):
            raise ValueError("its parts don't belong together")
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"the population {path.name} is damaged ({error}): remove it, it is made anew") from error
    return found


def _sums(tables: Iterable[Tensor], width: int) -> Tensor:
    return torch.stack([torch.zeros(width, dtype=torch.float64), *(table.double().sum(0) for table in tables)])[1:]


def _file_name(identity: str) -> str:
    return f"population-{identity}.safetensors"
