"""Where sites are: compared with what the attention registry and the layer itself give."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from penchant.errors import InputError, ModelError
from penchant.inference.sites import Kind, Site, site_module, site_width
from penchant.models.anatomy import decoder_layers
from tests.families import FAMILIES, tiny_config, tiny_network

ALL_FAMILIES = (*FAMILIES, "gpt2")


@pytest.mark.parametrize("family", ALL_FAMILIES)
@torch.no_grad()
def test_heads_are_what_the_attention_registry_gives(family: str) -> None:
    model, layer = tiny_network(family).train(False), 2
    heads: list[Tensor] = []

    def attend(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        output, weights = sdpa_attention_forward(module, *args, **kwargs)
        if module.layer_idx == layer:
            heads.append(output)  # [batch, tokens, heads, head_dim]
        return output, weights

    found: dict[Kind, Tensor] = {}
    site_module(model, Site(layer, "heads")).register_forward_pre_hook(lambda m, a: found.__setitem__("heads", a[0]))
    site_module(model, Site(layer, "attention")).register_forward_hook(
        lambda m, a, out: found.__setitem__("attention", out[0])
    )
    ALL_ATTENTION_FUNCTIONS.register("test_sites", attend)
    model.config._attn_implementation = "test_sites"
    model(input_ids=torch.tensor([[20, 30, 40, 50]]))
    assert torch.equal(found["heads"], heads[0].flatten(2))
    assert found["heads"].shape[-1] == site_width(model, "heads")
    # The projection of the heads is the output of attention: it is the right module, and the last one.
    assert torch.equal(site_module(model, Site(layer, "heads"))(found["heads"]), found["attention"])


@pytest.mark.parametrize("family", ALL_FAMILIES)
@torch.no_grad()
def test_what_a_layer_adds_up(family: str) -> None:
    """The residual stream behind a layer is the one before, attention and MLP; Gemma 3 normalises these two first."""
    model, layer = tiny_network(family).train(False), 1
    found: dict[str, Tensor] = {}
    block = decoder_layers(model)[layer]
    assert site_module(model, Site(layer, "block")) is block
    block.register_forward_pre_hook(lambda m, args: found.__setitem__("before", args[0]))
    for kind in ("attention", "mlp", "block"):
        site_module(model, Site(layer, kind)).register_forward_hook(
            lambda m, args, out, kind=kind: found.__setitem__(kind, out[0] if isinstance(out, tuple) else out)
        )
    model(input_ids=torch.tensor([[20, 30, 40, 50]]))
    attention, mlp = found["attention"], found["mlp"]
    if family == "gemma3":
        attention, mlp = block.post_attention_layernorm(attention), block.post_feedforward_layernorm(mlp)
    torch.testing.assert_close(found["block"], found["before"] + attention + mlp, atol=1e-5, rtol=1e-5)
    assert {found[kind].shape[-1] for kind in ("attention", "mlp", "block")} == {site_width(model, "block")}


def test_written_and_read() -> None:
    for text in ("15.attention", "0.heads", " 7.mlp\n"):
        assert str(Site.parse(text)) == text.strip()
    assert sorted([Site(10, "mlp"), Site(2, "mlp"), Site(2, "heads")]) == [
        Site(2, "heads"),
        Site(2, "mlp"),
        Site(10, "mlp"),
    ]
    for text in ("", "attention", "1.", ".mlp", "1.norm", "-1.mlp", "1.5.mlp", "1 mlp", "٣.mlp", "1.mlp x", "9" * 5000):
        with pytest.raises(InputError, match=r"a layer and one of attention, mlp, block, heads: 15\.attention"):
            Site.parse(text)


def test_sites_that_are_not_there() -> None:
    model = tiny_network("llama")
    for layer in (-1, 4):
        with pytest.raises(ModelError, match=rf"site {layer}.mlp: the model has layers 0 to 3"):
            site_module(model, Site(layer, "mlp"))
    attention = decoder_layers(model)[1].self_attn
    attention.o_proj = nn.Linear(63, 64)
    attention.q_proj = attention.k_proj = attention.v_proj = nn.Identity()
    with pytest.raises(ModelError, match="LlamaAttention has no output projection of 4 heads to 64"):
        site_module(model, Site(1, "heads"))


def test_widths() -> None:
    model = tiny_network("qwen3")
    assert tiny_config("qwen3").head_dim == 32
    assert [site_width(model, kind) for kind in ("attention", "mlp", "block", "heads")] == [64, 64, 64, 128]
    config = tiny_network("llama").config
    config.head_dim = None
    other = tiny_network("llama")
    other.config.head_dim = None
    assert site_width(other, "heads") == 64
