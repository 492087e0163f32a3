"""Users to fit on, and what a choice does to answers of theirs that are held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.inference.intervention import Intervention, stack
from penchant.inference.likelihood import losses
from penchant.inference.sites import Site
from penchant.models.loading import LoadedModel
from penchant.progress import Progress, no_progress
from penchant.steering.apply.aggregation import Aggregation
from penchant.steering.apply.similarity import Scorer, Similarity
from penchant.steering.config import Effect, SteeringConfig
from penchant.steering.extract.extractor import ActivationExtractor, PromptTemplate, Sample, exchange_of, inputs_of
from penchant.steering.extract.vectors import default_key
from penchant.steering.fit.population import population_of
from penchant.steering.methods.method import VectorMethod
from penchant.steering.storage.bank import Bank, drop

SCOPE = "last_1"
"""From the prompt's last token on, where the answer's first one is predicted: on SmolLM2 that doubles the gain of
steering behind the prompt only, and of a cached prefix only that one token is read again."""
CAP = 0.5
"""Longest vector, as a share of the residual stream's length: beyond it models speak gibberish."""
PER_USER = 3
"""Held-out answers of each user that decide."""


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
        return Scorer(self.similarity, inputs_of(sample for samples in self.samples.values() for sample in samples))

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


def evenly_spread(count: int, most: int) -> list[int]:
    """At most `most` of the numbers below `count`, each in the middle of its share."""
    most = min(most, count)
    return [(2 * index + 1) * count // (2 * most) for index in range(most)]


def mean_over_users(gains: Float[Tensor, " answers"], users: Sequence[str]) -> tuple[float, float]:
    """The mean over users of each one's mean, and its standard error (infinite for one user)."""
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
    """For each (user, number) what the user's other samples give for that sample's input, a row each. Where age counts,
    these are the earlier ones, as old as they were then.

    scorer: with the inputs of all rows (default: one by hidden states, which needs none). alone: the population of a
    user leaves the user out (it is worked out anew from `banks`). bases: one for each of `held_out`, in place
    of the configuration's, which may be made of the user's samples.
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
    """The rows up to a moment, and the moment. Without one, all of them as old as they are at the newest's."""
    times = [row.when for row in bank.rows if row.when is not None]
    if when is None:
        return bank, max(times, default=None)
    return drop(bank, [row.contrast for row in bank.rows if row.when is not None and row.when > when]), when


def _rows(table: Mapping[Site, Tensor]) -> list[dict[Site, Tensor]]:
    return [{site: rows[index] for site, rows in table.items()} for index in range(len(next(iter(table.values()))))]


def blank_config(group: CrossValidation, layer: int, norm: float, centre: Tensor) -> SteeringConfig:
    """A configuration for one layer that writes nothing yet. norm: length of the residual stream there."""
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


def select_best(
    group: CrossValidation,
    held_out: Sequence[tuple[str, int]],
    tried: Sequence[tuple[SteeringConfig, Intervention, Effect]],
    none: SteeringConfig,
    least: float = 0.0,
) -> SteeringConfig:
    """The configuration that gains most, with the effects of all; `none` with a strength of 0 when none gains more than
    `least`, which is what is gained without the users' own vectors."""
    found = group.gains(held_out, [intervention for _, intervention, _ in tried])
    effects = tuple(
        replace(effect, gain=gain, error=error) for (_, _, effect), (gain, error) in zip(tried, found, strict=True)
    )
    best = max(range(len(tried)), key=lambda number: found[number][0])
    if not found[best][0] > least:
        return replace(none, strength=0.0, effects=effects)
    return replace(tried[best][0], effects=effects)


def describe_aggregation(aggregation: Aggregation) -> str:
    """An aggregation in a few words."""
    top = "all" if aggregation.top is None else f"top {aggregation.top}"
    weights = aggregation.weights if aggregation.weights == "uniform" else f"softmax {aggregation.temperature:g}"
    shrunk = f", shrunk by {aggregation.shrinkage:g}" if aggregation.shrinkage else ""
    aged = f", halved every {aggregation.half_life:g} days" if aggregation.half_life is not None else ""
    share = f", own share {aggregation.own_share:g}" if aggregation.own_share != 1 else ""
    return f"{top}, {weights}{shrunk}{aged}{share}"
