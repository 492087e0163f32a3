"""Exchanges of tiny models, and answers that a model gives under an intervention that a method has to find again."""

from __future__ import annotations

import torch
from torch import Tensor

from penchant.models.loading import LoadedModel
from penchant.models.sites import Site, site_module
from penchant.steering.intervention import Edit, Intervention
from penchant.steering.likelihood import Exchange
from penchant.steering.runtime import steered


def exchanges(count: int, seed: int = 0) -> list[Exchange]:
    """Random tokens: prompts of 3 to 12, answers of 2 to 9."""
    draw = torch.Generator().manual_seed(seed)

    def some(low: int, high: int) -> tuple[int, ...]:
        length = int(torch.randint(low, high, (), generator=draw))
        return tuple(torch.randint(6, 300, (length,), generator=draw).tolist())

    return [Exchange(some(3, 13), some(2, 10)) for _ in range(count)]


def answered(
    loaded: LoadedModel, given: list[Exchange], edits: dict[Site, Edit], scope: str, seed: int = 0
) -> list[Exchange]:
    """The same prompts with answers of eight tokens, sampled under `edits` of one row."""
    draw = torch.Generator().manual_seed(seed)
    made = []
    for one in given:
        ids = list(one.prompt)
        with torch.no_grad(), steered(loaded.model, Intervention(edits, scope), [len(one.prompt)]):
            for _ in range(8):
                chances: Tensor = loaded.model(torch.tensor([ids])).logits[0, -1].float().softmax(-1)
                ids.append(int(torch.multinomial(chances, 1, generator=draw)))
        made.append(Exchange(one.prompt, tuple(ids[len(one.prompt) :])))
    return made


def hooks(loaded: LoadedModel) -> int:
    """Hooks in front of the output projections."""
    sites = [Site(layer, "heads") for layer in range(loaded.num_layers)]
    return sum(len(site_module(loaded.model, site)._forward_pre_hooks) for site in sites)
