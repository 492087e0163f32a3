"""What steering must give, by the plainest means: one row, no padding, no cache, every token in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from penchant.inference.intervention import Edit, Intervention
from penchant.inference.sites import Site, site_module, site_width
from tests.families import tiny_network

SITES = (Site(1, "attention"), Site(1, "heads"), Site(2, "mlp"), Site(2, "block"))
VOCABULARY = 300
"""Token ids below this are in every tiny model; special tokens are the first ones."""


def network(family: str = "llama", dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    model = tiny_network(family, dtype=dtype)
    return model.train(False).requires_grad_(False)


def texts(*lengths: int, seed: int = 0) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(10, VOCABULARY, (length,), generator=generator).tolist() for length in lengths]


def vectors(
    model: PreTrainedModel,
    rows: int,
    scope: str = "after_prompt",
    *,
    sites: Sequence[Site] = SITES,
    seed: int = 0,
    scaled: Sequence[Site] = (Site(2, "mlp"),),
) -> Intervention:
    """Random vectors, others for each row; at the sites in `scaled` numbers to multiply with as well."""
    generator = torch.Generator().manual_seed(seed)
    edits = {}
    for site in sites:
        width = site_width(model, site.kind)
        add = torch.randn(rows, width, generator=generator)
        scale = 1 + 0.3 * torch.randn(rows, width, generator=generator) if site in scaled else None
        edits[site] = Edit(add, scale)
    return Intervention(edits, scope)


def row(intervention: Intervention, number: int) -> Intervention:
    one = slice(number, number + 1)
    return Intervention(
        {
            site: Edit(None if edit.add is None else edit.add[one], None if edit.scale is None else edit.scale[one])
            for site, edit in intervention.edits.items()
        },
        intervention.scope,
    )


def bits(value: Tensor) -> Tensor:
    """To tell 0.0 from -0.0, and one NaN from another."""
    return value.view(torch.int16 if value.dtype == torch.bfloat16 else torch.int32)


def padded(rows: Sequence[Sequence[int]], side: str = "left", pad: int = 0) -> tuple[Tensor, Tensor]:
    """Ids and mask (1: a token) of rows of different lengths."""
    width = max(map(len, rows))
    ids, mask = torch.full((len(rows), width), pad), torch.zeros(len(rows), width, dtype=torch.long)
    for number, tokens in enumerate(rows):
        place = slice(width - len(tokens), width) if side == "left" else slice(0, len(tokens))
        ids[number, place], mask[number, place] = torch.tensor(tokens), 1
    return ids, mask


def counted(mask: Tensor) -> Tensor:
    return (mask.cumsum(1) - 1).clamp(min=0)


@contextmanager
def plainly(model: PreTrainedModel, edits: Any, begin: int, number: int) -> Iterator[None]:
    """Hooks of our own that write row `number` of the edits from token `begin` on, in a batch of one."""
    handles = []

    def written(site: Site, value: Tensor) -> Tensor:
        value = value.clone()
        edit = edits[site]
        if edit.scale is not None:
            value[0, begin:] *= edit.scale[number].to(value.dtype)
        if edit.add is not None:
            value[0, begin:] += edit.add[number].to(value.dtype)
        return value

    def behind(site: Site) -> Any:
        def hook(module: Any, args: Any, output: Any) -> Any:
            return (written(site, output[0]), *output[1:]) if isinstance(output, tuple) else written(site, output)

        return hook

    def before(site: Site) -> Any:
        return lambda module, args: (written(site, args[0]), *args[1:])

    for site in edits:
        module = site_module(model, site)
        place = module.register_forward_pre_hook if site.kind == "heads" else module.register_forward_hook
        handles.append(place(before(site) if site.kind == "heads" else behind(site)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def alone(
    model: PreTrainedModel, tokens: Sequence[int], intervention: Intervention | None, begin: int, number: int = 0
) -> Tensor:
    """Logits [tokens, vocabulary] of one row; its vectors are written from position `begin` on."""
    with plainly(model, {} if intervention is None else intervention.edits, begin, number):
        return model(input_ids=torch.tensor([list(tokens)]), use_cache=False).logits[0]


class Tracer:
    """Collects what a runtime says that it wrote."""

    def __init__(self) -> None:
        self.passes: dict[Site, list[Tensor]] = {}

    def __call__(self, site: Site, written: Tensor) -> None:
        self.passes.setdefault(site, []).append(written.clone())

    def tokens(self, site: Site) -> list[list[bool]]:
        """Of all passes one behind the other, [batch][tokens]."""
        return torch.cat(self.passes[site], 1).tolist()
