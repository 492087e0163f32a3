"""Chooses layer, strength and weights of a method automatically, on held-out answers of other users.

Users of steering tools mostly report "no effect or gibberish"; both come from guessing the layer and the strength. Here
every choice is tried on answers whose own sample is left out, and lengths are capped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.likelihood import losses
from penchant.inference.sites import Site, nearest_layers
from penchant.lens.activations import pooled_activations
from penchant.models.loading import LoadedModel
from penchant.progress import Progress, no_progress
from penchant.steering.apply.similarity import Scorer
from penchant.steering.choices import Similarity
from penchant.steering.config import Effect, SteeringConfig
from penchant.steering.data.contrast import PromptTemplate, Sample
from penchant.steering.extract.extractor import ActivationExtractor, exchange_of
from penchant.steering.extract.vectors import default_key
from penchant.steering.fit.cross_validation import evenly_spread, leave_one_out, mean_over_users, population_of
from penchant.steering.methods.method import VectorMethod
from penchant.steering.storage.bank import Bank, basis_of

SCOPE = "last_1"
"""From the prompt's last token on, where the answer's first one is predicted: on SmolLM2 that doubles the gain of
steering behind the prompt only, and of a cached prefix only that one token is read again."""
PER_USER = 3
"""Held-out answers of each user that decide."""
CAP = 0.5
"""Longest vector, as a share of the residual stream's length: beyond it, models produce gibberish."""
BASES = (0.05, 0.1, 0.15)
"""Lengths to try for the population's step, as shares of the residual stream's length."""


@dataclass(frozen=True)
class CrossValidation:
    """Users to fit on: their samples, and which of them are held out in turn."""

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
        """What held-out inputs are compared with the others by."""
        samples = [sample for samples in self.samples.values() for sample in samples]
        return Scorer(self.similarity, {sample.id: sample.request.query for sample in samples})

    def banks(
        self, bases: Mapping[str, Intervention | None], sites: Sequence[Site], origin: str, step: str
    ) -> dict[str, Bank]:
        """Banks at `sites` of the users in `bases`, in that order. bases: what is written while a user's samples are
        read (None: nothing). origin: see `SteeringConfig.origin`. step: what is shown meanwhile."""
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
        """(user, number of the sample), evenly spread over each user's."""
        found = []
        for user, samples in self.samples.items():
            found += [(user, number) for number in evenly_spread(len(samples), self.per_user)]
        return found

    def gains(
        self, held_out: Sequence[tuple[str, int]], interventions: Sequence[Intervention]
    ) -> list[tuple[float, float]]:
        """Of each intervention (a row for each held-out answer) the mean gain over users, in nats a token, and its
        standard error."""
        exchanges = [exchange_of(self.loaded, self.samples[user][number], self.template) for user, number in held_out]
        found = losses(self.loaded, exchanges, [None, *interventions], progress=self.progress)
        users = [user for user, _ in held_out]
        return [mean_over_users(found[0] - row, users) for row in found[1:]]


def fit_config(
    loaded: LoadedModel,
    method: VectorMethod,
    samples: Mapping[str, Sequence[Sample]],
    template: PromptTemplate,
    *,
    scope: str = SCOPE,
    per_user: int = PER_USER,
    similarity: Similarity = "hidden",
    half_life: float | None = None,
    progress: Progress = no_progress,
) -> SteeringConfig:
    """Choose the configuration of a method under which held-out answers of these users are likeliest.

    samples: user -> contrasts, or pairs for a method that reads gradients. For a single user, everything is chosen on
    that user's own samples, and there is no population. If nothing helps, the strength is 0. similarity: how samples
    and requests are compared. half_life: days after which a sample counts half (None: age doesn't matter).

    Raises `InputError` if no user has at least two samples, if none is to be held out, for an unknown similarity, or a
    half-life that isn't above 0; `ModelError` for "dense" without its encoder.
    """
    if per_user < 1:
        raise InputError(f"{per_user} answers of each user held out: expected at least 1")
    usable = {user: list(samples[user]) for user in sorted(samples) if len(samples[user]) >= 2}
    if not usable:
        raise InputError("no user with at least two samples to fit steering on: import records with a text and a reply")
    if half_life is not None:
        aged = tuple(replace(one, half_life=half_life) for one in method.aggregations)
        method = replace(method, aggregations=aged)
    group = CrossValidation(loaded, method, template, usable, scope, per_user, progress, Scorer(similarity).similarity)
    deep = [round(share * (loaded.num_layers - 1)) for share in method.layers]
    layers = nearest_layers(loaded.model, method.kinds, deep)
    norms = residual_norms(group, layers)
    if not method.population:
        return _differences(group, layers, norms)
    return _gradients(group, layers, norms)


def residual_norms(group: CrossValidation, layers: Sequence[int]) -> dict[int, float]:
    """Return the length of the residual stream after each layer: of its mean over an answer's tokens, averaged over
    users.
    """
    sites = [Site(layer, "block") for layer in layers]
    found = []
    for samples in list(group.samples.values())[:16]:
        exchange = exchange_of(group.loaded, samples[0], group.template)
        ids = torch.tensor([[*exchange.prompt, *exchange.answer]])
        weights = torch.zeros(1, ids.shape[1])
        weights[0, len(exchange.prompt) :] = 1 / len(exchange.answer)
        read = pooled_activations(group.loaded, ids, weights, sites)
        found.append(torch.stack([read[site].norm().cpu() for site in sites]))
    return dict(zip(layers, torch.stack(found).mean(0).tolist(), strict=True))


def _differences(group: CrossValidation, layers: Sequence[int], norms: Mapping[int, float]) -> SteeringConfig:
    """Choose layer, strength and weights of a method whose vectors are differences of activations."""
    kinds = group.method.kinds
    everywhere = [Site(layer, kind) for layer in layers for kind in kinds]
    banks = group.banks(dict.fromkeys(group.samples), everywhere, group.loaded.fingerprint, "reading answers")
    centre = torch.cat([bank.keys for bank in banks.values()]).mean(0)
    tried: list[tuple[SteeringConfig, Intervention, Effect]] = []
    held_out = group.held_out()
    for layer in layers:
        blank = _blank_config(group, layer, norms[layer], centre)
        here = {
            user: replace(bank, vectors={site: bank.vectors[site] for site in blank.sites})
            for user, bank in banks.items()
        }
        for aggregation in group.method.aggregations:
            for strength in group.method.strengths:
                config = replace(blank, strength=strength, aggregation=aggregation)
                effect = Effect(layer, strength, "own", str(aggregation), 0.0, 0.0)
                tried.append((config, leave_one_out(here, held_out, config, scorer=group.scorer), effect))
    chosen = _select_best(group, held_out, tried, tried[0][0])
    there = [replace(one, vectors={site: one.vectors[site] for site in chosen.sites}) for one in banks.values()]
    return replace(chosen, basis=basis_of(there, chosen.centre))


def _gradients(group: CrossValidation, layers: Sequence[int], norms: Mapping[int, float]) -> SteeringConfig:
    """Choose first the population's step, then how far each user's vectors go from there."""
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
        found = group.gains(held_out, [_by_fold(one, folds, group.scope) for one in bases])
        for (at, length), (gain, error) in zip(grid, found, strict=True):
            effects.append(Effect(at, length, "population", "", gain, error))
        best = max(range(len(grid)), key=lambda number: found[number][0])
        layer = grid[best][0]
        if found[best][0] > 0:
            base, least = bases[best], found[best][0]
            everyone = {site: rows[2] for site, rows in base.items()}
    blank = replace(_blank_config(group, layer, norms[layer], centre), base=everyone)
    # Read at the other half's base, but with the same origin: the choice applies to the base of all users.
    other_half = [
        Intervention({site: Edit(rows[number][None]) for site, rows in base.items()}, group.scope) if base else None
        for number in (0, 1)
    ]
    bases_read = {user: other_half[fold[user]] for user in sorted(users, key=fold.__getitem__)}
    banks = group.banks(bases_read, blank.sites, blank.origin, "gradients from the base")
    size = _typical(banks)
    population = population_of(banks).mean() if len(users) > 1 else {}
    blank = replace(blank, population=population)
    # An answer is also held out of the base it is tried on.
    halves = [{site: rows[fold[user]] for site, rows in base.items()} for user, _ in held_out]
    tried: list[tuple[SteeringConfig, Intervention, Effect]] = []
    for aggregation in group.method.aggregations:
        for length in group.method.strengths:
            config = replace(blank, strength=length * norms[layer] / size, aggregation=aggregation)
            effect = Effect(layer, length, "own", str(aggregation), 0.0, 0.0)
            rows = leave_one_out(banks, held_out, config, scorer=group.scorer, alone=True, bases=halves)
            tried.append((config, rows, effect))
    chosen = _select_best(group, held_out, tried, blank, least)
    basis = basis_of(list(banks.values()), chosen.centre)
    return replace(chosen, effects=(*effects, *chosen.effects), basis=basis)


def _directions(banks: Mapping[str, Bank], fold: Mapping[str, int], site: Site) -> Float[Tensor, "3 width"]:
    """Return unit steps: of the users outside fold 0, outside fold 1, and of all."""
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
    """Return the length of a user's mean vector over all sites, averaged over users."""
    found = [torch.cat([table.mean(0) for _, table in sorted(bank.vectors.items())]).norm() for bank in banks.values()]
    return max(float(torch.stack(found).mean()), 1e-12)


def _blank_config(group: CrossValidation, layer: int, norm: float, centre: Tensor) -> SteeringConfig:
    """Return a configuration for one layer without any effect yet. norm: length of the residual stream there."""
    sites = tuple(sorted(Site(layer, kind) for kind in group.method.kinds))
    loaded, method = group.loaded, group.method
    return SteeringConfig(
        method.name,
        loaded.fingerprint,
        loaded.name,
        method.reading,
        sites,
        default_key(loaded),
        group.scope,
        0.0,
        method.aggregations[0],
        centre,
        dict.fromkeys(sites, CAP * norm),
        users=len(group.samples),
        pairs=sum(map(len, group.samples.values())),
        similarity=group.similarity,
    )


def _select_best(
    group: CrossValidation,
    held_out: Sequence[tuple[str, int]],
    tried: Sequence[tuple[SteeringConfig, Intervention, Effect]],
    none: SteeringConfig,
    least: float = 0.0,
) -> SteeringConfig:
    """Return the configuration with the largest gain, with the effects of all; `none` with a strength of 0 if none
    gains more than `least`, the gain without the users' own vectors.
    """
    found = group.gains(held_out, [intervention for _, intervention, _ in tried])
    effects = tuple(
        replace(effect, gain=gain, error=error) for (_, _, effect), (gain, error) in zip(tried, found, strict=True)
    )
    best = max(range(len(tried)), key=lambda number: found[number][0])
    if not found[best][0] > least:
        return replace(none, strength=0.0, effects=effects)
    return replace(tried[best][0], effects=effects)
