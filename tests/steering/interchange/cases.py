"""Interventions to move about, and what other programs do with vectors, in plain torch hooks."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from penchant.inference.intervention import ALL, Edit, Intervention
from penchant.inference.runtime import steered
from penchant.inference.sites import Site, site_module, site_width
from penchant.models.anatomy import decoder_layers
from penchant.models.loading import LoadedModel

PROMPT, ANSWER = 7, 5
TOKENS = torch.arange(10, 10 + PROMPT + ANSWER)[None]


def vector(model: LoadedModel, site: Site, seed: int = 0) -> Tensor:
    """[width]: as long as a tiny model's states."""
    generator = torch.Generator().manual_seed(seed + 100 * site.layer)
    return 2 * torch.randn(site_width(model.model, site.kind), generator=generator)


def adding(model: LoadedModel, sites: Iterable[str], scope: str = ALL) -> Intervention:
    """A vector of its own at each site."""
    found = [Site.parse(site) for site in sites]
    return Intervention({site: Edit(vector(model, site)[None]) for site in found}, scope)


@torch.no_grad()
def logits(model: LoadedModel, intervention: Intervention | None) -> Tensor:
    """[tokens, vocabulary] of TOKENS, the first PROMPT of which are the prompt, by our runtime."""
    with steered(model.model, intervention, [PROMPT]):
        return model.model(TOKENS).logits[0]


@torch.no_grad()
def hooked(model: LoadedModel, vectors: Mapping[Site, Tensor], written: Tensor) -> Tensor:
    """The same by hooks of three lines. written: bool [tokens], which tokens get the vectors."""
    mask = written[None, :, None]
    handles = []
    for site, added in vectors.items():
        if site.kind == "block":

            def behind(module, args, output, added=added):
                states = output[0] if isinstance(output, tuple) else output
                states = states + mask * added
                return (states, *output[1:]) if isinstance(output, tuple) else states

            handles.append(decoder_layers(model.model)[site.layer].register_forward_hook(behind))
        else:

            def before(module, args, added=added):
                return (args[0] + mask * added, *args[1:])

            handles.append(site_module(model.model, site).register_forward_pre_hook(before))
    try:
        return model.model(TOKENS).logits[0]
    finally:
        for handle in handles:
            handle.remove()


def same(one: Intervention, other: Intervention) -> bool:
    """Bit for bit: scope, sites, formats, numbers."""
    if one.scope != other.scope or set(one.edits) != set(other.edits):
        return False
    pairs = [
        (getattr(edit, name), getattr(other.edits[site], name))
        for site, edit in one.edits.items()
        for name in ("add", "scale")
    ]
    return all(
        left is right
        if left is None or right is None
        else left.dtype == right.dtype and torch.equal(left.view(torch.uint8), right.view(torch.uint8))
        for left, right in pairs
    )
