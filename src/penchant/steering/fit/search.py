"""Choosing layer, strength and weights of a method by themselves: on held-out answers of other users.

"No effect or gibberish" is what users of steering tools report most; both come from a layer and a strength that were
guessed. Here every choice is tried on answers whose own sample is left out, and lengths are capped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from penchant.errors import InputError
from penchant.inference.likelihood import Choice
from penchant.inference.sites import Site
from penchant.lens.activations import pooled_activations
from penchant.models.loading import LoadedModel
from penchant.progress import Progress, no_progress
from penchant.steering.apply.similarity import Scorer, Similarity
from penchant.steering.config import Effect, SteeringConfig
from penchant.steering.extract.extractor import PromptTemplate, Sample, exchange_of
from penchant.steering.fit.cross_validation import (
    PER_USER,
    SCOPE,
    CrossValidation,
    blank_config,
    describe_aggregation,
    leave_one_out,
    select_best,
    select_rows,
)
from penchant.steering.fit.line_search import fit_likelihood_gradient
from penchant.steering.methods.method import VectorMethod
from penchant.steering.storage.basis import basis_of


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
    """The setting of a method under which held-out answers of these users become likeliest.

    samples: user -> contrasts, or pairs for a method that reads gradients. Of a single user everything is chosen on
    that user's own samples, and there is no population. A strength of 0 is what comes out when nothing helps.
    similarity: what samples and requests are compared by. half_life: days after which a sample counts half (None: its
    age doesn't matter).

    Raises `InputError` for no user with at least two samples, none of them to be held out, another similarity or a
    half-life that isn't above 0; `ModelError` for "dense" without its embedder.
    """
    if per_user < 1:
        raise InputError(f"{per_user} answers of each user held out: expected at least 1")
    usable = {user: list(some) for user, some in sorted(samples.items()) if len(some) >= 2}
    if not usable:
        raise InputError("no user with at least two samples to fit steering on: import records with a text and a reply")
    if half_life is not None:
        aged = tuple(replace(one, half_life=half_life) for one in method.aggregations)
        method = replace(method, aggregations=aged)
    group = CrossValidation(loaded, method, template, usable, scope, per_user, progress, Scorer(similarity).similarity)
    layers = sorted({round(share * (loaded.num_layers - 1)) for share in method.layers})
    norms = residual_norms(group, layers)
    if not method.population:
        return _differences(group, layers, norms)
    return fit_likelihood_gradient(group, layers, norms)


def residual_norms(group: CrossValidation, layers: Sequence[int]) -> dict[int, float]:
    """Length of the residual stream behind each layer: of its mean over an answer's tokens, averaged over users."""
    sites = [Site(layer, "block") for layer in layers]
    found = []
    for some in list(group.samples.values())[:16]:
        one = exchange_of(group.loaded, some[0], group.template)
        ids = torch.tensor([[*one.prompt, *one.answer]])
        weights = torch.zeros(1, ids.shape[1])
        weights[0, len(one.prompt) :] = 1 / len(one.answer)
        read = pooled_activations(group.loaded, ids, weights, sites)
        found.append(torch.stack([read[site].norm().cpu() for site in sites]))
    return dict(zip(layers, torch.stack(found).mean(0).tolist(), strict=True))


def _differences(group: CrossValidation, layers: Sequence[int], norms: Mapping[int, float]) -> SteeringConfig:
    """Layer, strength and weights of a method whose vectors are differences of activations."""
    kinds = group.method.kinds
    everywhere = [Site(layer, kind) for layer in layers for kind in kinds]
    banks = group.banks(dict.fromkeys(group.samples), everywhere, group.loaded.fingerprint, "reading answers")
    centre = torch.cat([bank.keys for bank in banks.values()]).mean(0)
    tried: list[tuple[SteeringConfig, Choice, Effect]] = []
    held_out = group.held_out()
    for layer in layers:
        blank = blank_config(group, layer, norms[layer], centre)
        here = {
            user: replace(bank, vectors={site: bank.vectors[site] for site in blank.sites})
            for user, bank in banks.items()
        }
        for aggregation in group.method.aggregations:
            for strength in group.method.strengths:
                config = replace(blank, strength=strength, aggregation=aggregation)
                effect = Effect(layer, strength, "own", describe_aggregation(aggregation), 0.0, 0.0)
                tried.append((config, select_rows(leave_one_out(here, held_out, config, scorer=group.scorer)), effect))
    chosen = select_best(group, held_out, tried, tried[0][0])
    there = [replace(one, vectors={site: one.vectors[site] for site in chosen.sites}) for one in banks.values()]
    return replace(chosen, basis=basis_of(there, chosen.centre))
