"""Steering beside LoRA adapters: both effects, and each where it belongs."""

from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from penchant.inference.runtime import Runtime, steered
from penchant.inference.sites import Site, site_module, site_width
from tests.families import FAMILIES
from tests.steering.oracle import SITES, alone, counted, network, padded, row, texts, vectors

ROWS, PROMPTS = texts(9, 7), (4, 3)


def _adapted(model: PreTrainedModel) -> PeftModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = LoraConfig(
            r=2,
            lora_alpha=8,
            target_modules="all-linear",
            init_lora_weights=False,
            fan_in_fan_out=model.config.model_type == "gpt2",
        )
        return get_peft_model(model, config).eval()  # type: ignore[return-value]


def _by_hand(model: PreTrainedModel, adapted: nn.Module) -> None:
    """Add each adapter's product to the plain model's weight."""
    plain = dict(model.named_modules())
    for name, module in adapted.named_modules():
        if hasattr(module, "lora_A"):
            lora: Any = module
            delta = lora.lora_B["default"].weight @ lora.lora_A["default"].weight * lora.scaling["default"]
            weight: Any = plain[name].weight
            weight.data += (
                delta
                if weight.shape == delta.shape and weight.shape[0] != weight.shape[1]
                else (delta.T if type(plain[name]).__name__ == "Conv1D" else delta)
            )


@pytest.mark.parametrize("family", (*FAMILIES, "gpt2"))
@torch.no_grad()
def test_steered_and_adapted(family: str) -> None:
    model, other = network(family), network(family)
    base = _adapted(model).get_base_model()
    _by_hand(other, base)
    ids, mask = padded(ROWS)
    given = {"input_ids": ids, "attention_mask": mask, "position_ids": counted(mask)}
    written = vectors(other, 2)
    with steered(base, written, PROMPTS):
        logits = base(**given).logits
    for number, tokens in enumerate(ROWS):
        expected = alone(other, tokens, row(written, number), PROMPTS[number])
        torch.testing.assert_close(logits[number, -len(tokens) :], expected, atol=2e-3, rtol=1e-3)
        unadapted = alone(network(family), tokens, row(written, number), PROMPTS[number])
        assert (expected - unadapted).abs().max() > 0.1
        assert (expected - alone(other, tokens, None, 0)).abs().max() > 0.1


@pytest.mark.parametrize("family", (*FAMILIES, "gpt2"))
def test_sites_of_an_adapted_model_are_those_of_the_plain_one(family: str) -> None:
    plain, model = network(family), network(family)
    names = {id(module): name for name, module in plain.named_modules()}
    found = {site: names[id(site_module(plain, site))] for site in SITES}
    base = _adapted(model).get_base_model()
    assert {site: base.get_submodule(name) for site, name in found.items()} == {
        site: site_module(base, site) for site in SITES
    }
    assert hasattr(site_module(base, Site(1, "heads")), "lora_A")
    assert site_width(base, "heads") == site_width(plain, "heads")


@torch.no_grad()
def test_adapters_come_and_go_while_a_runtime_is_open() -> None:
    model, (ids, mask) = network(), padded(ROWS)
    adapted = _adapted(model)
    given = {"input_ids": ids, "attention_mask": mask, "position_ids": counted(mask)}
    with Runtime(adapted.get_base_model(), SITES) as runtime, runtime.steering(vectors(model, 2), PROMPTS):
        both = adapted(**given).logits
        with adapted.disable_adapter():
            one = adapted(**given).logits
        assert torch.equal(adapted(**given).logits, both)
    with steered(network(), vectors(model, 2), PROMPTS):
        pass
    plain = network()
    with steered(plain, vectors(plain, 2), PROMPTS):
        assert torch.equal(plain(**given).logits, one)
    assert not torch.allclose(both, one, atol=0.1)
