"""Pooled activations: early exit, batches, padding and a cache give what a whole pass of one row gives."""

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

from penchant.errors import InputError, ModelError
from penchant.inference.runtime import steered
from penchant.inference.sites import Site, site_module
from penchant.lens.activations import pooled_activations
from penchant.models.anatomy import decoder_layers
from penchant.models.loading import LoadedModel
from tests.families import FAMILIES, tiny
from tests.steering.oracle import counted, padded, texts, vectors

ALL_FAMILIES = (*FAMILIES, "gpt2")
SITES = (Site(2, "mlp"), Site(0, "block"), Site(1, "attention"), Site(2, "heads"))
ROWS = texts(13, 9, 11)


@torch.no_grad()
def _whole(loaded: LoadedModel, tokens: list[int]) -> dict[Site, Tensor]:
    """[tokens, width] at each site, of a pass of the whole model over one row."""
    found: dict[Site, Tensor] = {}
    handles = []
    for site in SITES:
        module = site_module(loaded.model, site)
        if site.kind == "heads":
            handles.append(module.register_forward_pre_hook(lambda m, args, s=site: found.update({s: args[0][0]})))
        else:
            handles.append(
                module.register_forward_hook(
                    lambda m, args, out, s=site: found.update({s: (out[0] if isinstance(out, tuple) else out)[0]})
                )
            )
    loaded.model(input_ids=torch.tensor([tokens]))
    for handle in handles:
        handle.remove()
    return found


def _means(loaded: LoadedModel, first: int) -> dict[Site, Tensor]:
    """Of the tokens from `first` on, of each row."""
    alone = [_whole(loaded, tokens) for tokens in ROWS]
    return {site: torch.stack([one[site][first:].float().mean(0) for one in alone]) for site in SITES}


def _weights(mask: Tensor, first: int) -> Tensor:
    chosen = (mask.cumsum(1) > first) & mask.bool()
    return chosen / chosen.sum(1, keepdim=True)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_a_padded_batch_with_early_exit_is_each_row_alone(family: str, side: str) -> None:
    loaded = tiny(family)
    ran: list[int] = []
    for number, layer in enumerate(decoder_layers(loaded.model)):
        layer.register_forward_pre_hook(lambda m, args, number=number: ran.append(number))
    expected = _means(loaded, 3)
    ran.clear()
    ids, mask = padded(ROWS, side)
    found = pooled_activations(loaded, ids, _weights(mask, 3), SITES, seen=mask.bool())
    assert ran == [0, 1, 2]
    assert set(found) == set(SITES)
    for site, value in found.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, expected[site], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_through_a_cache(family: str) -> None:
    """A prefix that was read before, and one that was read by this function itself, in parts."""
    loaded = tiny(family)
    expected = _means(loaded, 6)
    ids, mask = padded(ROWS)
    weights = _weights(mask, 6)
    for whole in (True, False):
        cache = DynamicCache(config=loaded.model.config)
        seen = mask[:, :6].bool()
        if whole:
            at = {"position_ids": counted(mask)[:, :6], "attention_mask": seen}
            with torch.no_grad():
                loaded.model(input_ids=ids[:, :6], past_key_values=cache, **at)
        else:
            pooled_activations(loaded, ids[:, :6], weights[:, :6], SITES, cache=cache, seen=seen)
        found = pooled_activations(
            loaded,
            ids[:, 6:],
            weights[:, 6:],
            SITES,
            seen=mask.bool(),
            cache=cache,
        )
        assert cache.get_seq_length() == 13
        for site, value in found.items():
            torch.testing.assert_close(value, expected[site], atol=1e-4, rtol=1e-4)


def test_weights_are_a_sum_in_float32() -> None:
    loaded = tiny("llama", dtype=torch.bfloat16)
    whole = _whole(loaded, ROWS[0])
    weights = torch.zeros(1, 13, dtype=torch.float64)
    weights[0, 4], weights[0, 12] = 2.0, -0.5
    found = pooled_activations(loaded, torch.tensor(ROWS[:1]), weights, SITES)
    for site, value in found.items():
        expected = 2 * whole[site][4].float() - 0.5 * whole[site][12].float()
        torch.testing.assert_close(value[0], expected, atol=1e-4, rtol=1e-4)


def test_what_padding_holds_does_not_matter() -> None:
    loaded = tiny()
    ids, weights = torch.tensor(ROWS[:1]), torch.ones(1, 13)
    weights[0, 0] = 0

    def spoil(module: object, args: object, output: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        output[0][:, 0] = float("inf")
        return output

    site_module(loaded.model, Site(1, "attention")).register_forward_hook(spoil)
    found = pooled_activations(loaded, ids, weights, [Site(1, "attention")])
    assert found[Site(1, "attention")].isfinite().all()


def test_a_model_that_is_steered_is_read_as_it_is_steered() -> None:
    loaded, site = tiny(), Site(1, "attention")
    ids, weights = torch.tensor(ROWS[:1]), torch.full((1, 13), 1 / 13)
    written = vectors(loaded.model, 1, "all", sites=[site])
    before = pooled_activations(loaded, ids, weights, [site])[site]
    with steered(loaded.model, written, [13]):
        after = pooled_activations(loaded, ids, weights, [site])[site]
    torch.testing.assert_close(after, before + written.edits[site].add, atol=1e-5, rtol=1e-5)
    assert torch.equal(pooled_activations(loaded, ids, weights, [site])[site], before)


def test_what_can_not_be_read() -> None:
    loaded = tiny()
    ids, weights = torch.tensor(ROWS[:1]), torch.ones(1, 13)
    with pytest.raises(InputError, match="no sites to read"):
        pooled_activations(loaded, ids, weights, [])
    with pytest.raises(ModelError, match="layers 0 to 3"):
        pooled_activations(loaded, ids, weights, [SITES[0], Site(7, "mlp")])
    parts = list(loaded.model.modules())
    assert not any(part._forward_hooks for part in parts)
