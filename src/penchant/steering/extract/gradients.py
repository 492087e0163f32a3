"""The direction in which a user's own answer becomes likelier: the gradient of its log likelihood at named sites.

A difference of activations (Fints, CAA) says how an answer's text differs once it is there; this says what to change in
the model so that it comes. It is the first step of learning an offset there (LoFiT, arXiv 2406.01563), one per pair, so
that pairs can still be weighed by request, added and forgotten one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError
from penchant.inference.intervention import AFTER_PROMPT, Edit, Intervention, prompt_tail
from penchant.inference.likelihood import Exchange, Prefilled, batches
from penchant.inference.runtime import steered
from penchant.inference.sites import Site, site_width
from penchant.models.loading import LoadedModel
from penchant.progress import Progress, no_progress

ROWS, NEW_TOKENS = 4, 1024
"""Exchanges in a batch, and tokens of their answers: everything that was computed on the way is kept for gradients."""


def likelihood_gradients(
    loaded: LoadedModel,
    exchanges: Sequence[Exchange],
    sites: Sequence[Site],
    *,
    scope: str,
    base: Intervention | None = None,
    progress: Progress = no_progress,
) -> dict[Site, Float[Tensor, "exchanges _"]]:
    """The gradient of each answer's mean log likelihood, in nats a token, by a vector added to every token in `scope`
    at each site; float32 on the CPU. A row doesn't depend on which others are read along, rounding aside.

    base: one row that is written meanwhile, in the same scope: gradients are taken there. progress: called with
    the number of exchanges read, after each batch.

    Raises `InputError` for no exchanges or sites, a scope that takes in whole prompts, or a base of another scope.
    """
    if not exchanges or not sites:
        raise InputError("nothing to read gradients of: expected at least one exchange and one site")
    tail = prompt_tail(scope)
    if tail is None:
        raise InputError(f"scope {scope}: gradients need one that leaves the prompt alone, such as {AFTER_PROMPT}")
    if base is not None and (base.scope != scope or base.rows != 1):
        raise InputError(f"a base of {base.rows} rows with scope {base.scope}: expected one row with scope {scope}")
    found = {site: torch.zeros(len(exchanges), site_width(loaded.model, site.kind)) for site in sites}
    done = 0
    for indices in batches(exchanges, ROWS, NEW_TOKENS):
        read = Prefilled(loaded, [exchanges[index] for index in indices], tail)
        for site, gradient in _of_batch(read, sites, scope, base).items():
            found[site][torch.tensor(indices)] = gradient
        done += len(indices)
        progress("reading answers", done, len(exchanges))
    return found


def _of_batch(read: Prefilled, sites: Sequence[Site], scope: str, base: Intervention | None) -> dict[Site, Tensor]:
    loaded, count = read.loaded, len(read.lengths)
    offsets = {
        site: torch.zeros(count, site_width(loaded.model, site.kind), device=loaded.device, requires_grad=True)
        for site in sorted(set(sites))
    }
    edits = {} if base is None else {site: _repeated(edit, count, loaded.device) for site, edit in base.edits.items()}
    for site, offset in offsets.items():
        there = edits.get(site, Edit())
        edits[site] = Edit(offset if there.add is None else there.add + offset, there.scale)
    with torch.enable_grad(), steered(loaded.model, Intervention(edits, scope), read.lengths):
        likelihood = -read.losses().sum()
    if not likelihood.requires_grad:  # answers of one token behind prompts that are left alone
        return {site: torch.zeros_like(offset, device="cpu") for site, offset in offsets.items()}
    gradients = torch.autograd.grad(likelihood, list(offsets.values()))
    return {site: gradient.float().cpu() for site, gradient in zip(offsets, gradients, strict=True)}


def _repeated(edit: Edit, count: int, device: torch.device) -> Edit:
    add, scale = (None if one is None else one.to(device).expand(count, -1) for one in (edit.add, edit.scale))
    return Edit(add, scale)
