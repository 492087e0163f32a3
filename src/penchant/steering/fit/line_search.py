"""Choosing how far to go up the likelihood of answers: first all users together, then each of them from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.inference.intervention import Edit, Intervention
from penchant.inference.likelihood import Choice
from penchant.inference.sites import Site
from penchant.steering.config import Effect, SteeringConfig
from penchant.steering.fit.cross_validation import (
    CrossValidation,
    blank_config,
    describe_aggregation,
    leave_one_out,
    select_best,
    select_rows,
)
from penchant.steering.fit.population import population_of
from penchant.steering.storage.bank import Bank
from penchant.steering.storage.basis import basis_of

BASES = (0.05, 0.1, 0.15)
"""Lengths of the population's step that are tried, as shares of the residual stream's."""


def fit_likelihood_gradient(
    group: CrossValidation, layers: Sequence[int], norms: Mapping[int, float]
) -> SteeringConfig:
    """First where the population stands, then how far each user goes from there."""
    users = list(group.samples)
    fold = {user: number % 2 for number, user in enumerate(users)}
    held_out = group.held_out()
    sites = [Site(layer, kind) for layer in layers for kind in group.method.kinds]
    banks = group.banks(dict.fromkeys(users), sites, group.loaded.fingerprint, "gradients")
    centre = torch.cat([bank.keys for bank in banks.values()]).mean(0)
    steps = {site: _directions(banks, fold, site) for site in sites}
    effects: list[Effect] = []
    layer, base, everyone = layers[len(layers) // 2], {}, {}
    least = 0.0
    if len(users) > 1:
        grid = [(layer, length) for layer in layers for length in BASES]
        bases = [_bases(steps, layer, length * norms[layer], group.method.kinds) for layer, length in grid]
        folds = [fold[user] for user, _ in held_out]
        choices = [select_rows(_by_fold(one, folds, group.scope)) for one in bases]
        found = group.gains(held_out, choices)
        for (at, length), (gain, error) in zip(grid, found, strict=True):
            effects.append(Effect(at, length, "population", "", gain, error))
        best = max(range(len(grid)), key=lambda number: found[number][0])
        layer = grid[best][0]
        if found[best][0] > 0:
            base, least = bases[best], found[best][0]
            everyone = {site: rows[2] for site, rows in base.items()}
    blank = replace(blank_config(group, layer, norms[layer], centre), base=everyone)
    # Read from the other half's base, but of the same origin: what is chosen here holds for the base of all.
    other_half = [
        Intervention({site: Edit(rows[number][None]) for site, rows in base.items()}, group.scope) if base else None
        for number in (0, 1)
    ]
    bases_read = {user: other_half[fold[user]] for user in sorted(users, key=fold.__getitem__)}
    banks = group.banks(bases_read, blank.sites, blank.origin, "gradients from the base")
    size = _typical(banks)
    population = population_of(banks).mean() if len(users) > 1 else {}
    blank = replace(blank, population=population)
    # An answer is held out of the base it is tried on, too.
    halves = [{site: rows[fold[user]] for site, rows in base.items()} for user, _ in held_out]
    tried: list[tuple[SteeringConfig, Choice, Effect]] = []
    for aggregation in group.method.aggregations:
        for length in group.method.strengths:
            config = replace(blank, strength=length * norms[layer] / size, aggregation=aggregation)
            effect = Effect(layer, length, "own", describe_aggregation(aggregation), 0.0, 0.0)
            rows = leave_one_out(banks, held_out, config, scorer=group.scorer, alone=True, bases=halves)
            tried.append((config, select_rows(rows), effect))
    chosen = select_best(group, held_out, tried, blank, least)
    basis = basis_of(list(banks.values()), chosen.centre)
    return replace(chosen, effects=(*effects, *chosen.effects), basis=basis)


def _directions(banks: Mapping[str, Bank], fold: Mapping[str, int], site: Site) -> Float[Tensor, "3 width"]:
    """Unit steps: of the users outside of fold 0, outside of fold 1, and of all."""
    means = {user: bank.vectors[site].mean(0) for user, bank in banks.items()}
    rows = []
    for left in (0, 1, None):
        some = [mean for user, mean in means.items() if fold[user] != left] or list(means.values())
        rows.append(torch.stack(some).mean(0))
    table = torch.stack(rows)
    lengths: Tensor = table.norm(dim=1, keepdim=True)
    return table / lengths.clamp(min=1e-12)


def _bases(
    steps: Mapping[Site, Tensor], layer: int, length: float, kinds: Sequence[str]
) -> dict[Site, Float[Tensor, "3 width"]]:
    share = len(kinds) ** -0.5
    return {site: rows * length * share for site, rows in steps.items() if site.layer == layer}


def _by_fold(base: Mapping[Site, Tensor], folds: Sequence[int], scope: str) -> Intervention:
    at = torch.tensor(list(folds))
    return Intervention({site: Edit(rows[at]) for site, rows in base.items()}, scope)


def _typical(banks: Mapping[str, Bank]) -> float:
    """Length of a user's mean vector over all sites, averaged over users."""
    found = [torch.cat([table.mean(0) for _, table in sorted(bank.vectors.items())]).norm() for bank in banks.values()]
    return max(float(torch.stack(found).mean()), 1e-12)
