"""Reading activations at named sites, pooled over tokens while the model runs, so that nothing of size (tokens x
layers) is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import Cache

from penchant.errors import InputError
from penchant.inference.forward import hidden_states
from penchant.inference.recurrence import check_readable
from penchant.inference.sites import Site, site_module
from penchant.models.loading import LoadedModel


class _ReachedError(Exception):
    """Ends a forward pass after the last site."""


@torch.no_grad()
def pooled_activations(
    loaded: LoadedModel,
    input_ids: Int[Tensor, "batch tokens"],
    weights: Float[Tensor, "batch tokens"],
    sites: Sequence[Site],
    *,
    seen: Bool[Tensor, "batch context"] | None = None,
    cache: Cache | None = None,
) -> dict[Site, Float[Tensor, "batch width"]]:
    """Run the decoder to the last of `sites` and return each site's activations summed over tokens with `weights`
    (a row of weights that sums to 1 gives a mean; a single 1 gives one token), in float32.

    seen: for cached and new tokens, False at padding. `cache` is extended in place at the layers that ran. Raises
    `InputError` without sites, and `ModelError` for a site that the model doesn't have.
    """
    if not sites:
        raise InputError("no sites to read: expected at least one, such as 15.attention")
    found: dict[Site, Tensor] = {}
    pooling = weights.to(loaded.device).float()

    def see(site: Site, value: Tensor) -> None:
        # Activations at padding may be anything, and zero times infinity isn't zero.
        read = value.float().masked_fill((pooling == 0)[..., None], 0.0)
        found[site] = torch.einsum("bt,btw->bw", pooling, read)
        if len(found) == len(set(sites)):
            raise _ReachedError

    check_readable(loaded, input_ids.shape[1], seen, cache)  # now, since its own passes would be watched
    with _watching(loaded, sites, see):
        try:
            hidden_states(loaded, input_ids, seen=seen, cache=cache)
        except _ReachedError:
            return found
    raise InputError(f"{loaded.name}: the forward pass never reached {', '.join(map(str, set(sites) - set(found)))}")


@contextmanager
def _watching(loaded: LoadedModel, sites: Sequence[Site], see: Any) -> Iterator[None]:
    with ExitStack() as stack:
        for site in sorted(set(sites)):
            module = site_module(loaded.model, site)
            if site.kind == "heads":
                handle = module.register_forward_pre_hook(_input_hook(site, see))
            else:
                handle = module.register_forward_hook(_output_hook(site, see))
            stack.callback(handle.remove)
        yield


def _input_hook(site: Site, see: Any) -> Any:
    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        see(site, inputs[0])

    return hook


def _output_hook(site: Site, see: Any) -> Any:
    def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        see(site, output[0] if isinstance(output, tuple) else output)

    return hook
