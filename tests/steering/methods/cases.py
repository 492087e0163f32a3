"""Exchanges of tiny models, and answers that a model gives under an intervention that a method has to find again."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from penchant.inference.intervention import Edit, Intervention
from penchant.inference.likelihood import Exchange
from penchant.inference.runtime import steered
from penchant.inference.sites import Site, site_module
from penchant.models.loading import LoadedModel


def exchanges(count: int, seed: int = 0) -> list[Exchange]:
    """Random tokens: prompts of 3 to 12, answers of 2 to 9."""
    draw = torch.Generator().manual_seed(seed)

    def some(low: int, high: int) -> tuple[int, ...]:
        length = int(torch.randint(low, high, (), generator=draw))
        return tuple(torch.randint(6, 300, (length,), generator=draw).tolist())

    return [Exchange(some(3, 13), some(2, 10)) for _ in range(count)]


def answered(loaded: LoadedModel, count: int, edits: Mapping[Site, Edit], scope: str, seed: int = 0) -> list[Exchange]:
    """Prompts of six random tokens, with answers of eight that the model samples under `edits` of one row."""
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(6, 300, (count, 6), generator=draw)
    written = Intervention({site: _repeated(edit, count) for site, edit in edits.items()}, scope)
    with torch.no_grad(), steered(loaded.model, written, [6] * count):
        for _ in range(8):
            chances: Tensor = loaded.model(ids).logits[:, -1].float().softmax(-1)
            ids = torch.cat([ids, torch.multinomial(chances, 1, generator=draw)], 1)
    return [Exchange(tuple(row[:6]), tuple(row[6:])) for row in ids.tolist()]


def _repeated(edit: Edit, rows: int) -> Edit:
    add, scale = (None if one is None else one.expand(rows, -1) for one in (edit.add, edit.scale))
    return Edit(add, scale)


def hooks(loaded: LoadedModel) -> int:
    """Hooks in front of the output projections."""
    sites = [Site(layer, "heads") for layer in range(loaded.num_layers)]
    return sum(len(site_module(loaded.model, site)._forward_pre_hooks) for site in sites)
