"""Finding layers, attention and MLP by structure."""

import pytest
import torch
from torch import nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from penchant.errors import ModelError
from penchant.models.anatomy import attention_module, decoder_layers, mlp_module
from penchant.models.loading import LoadedModel
from tests.families import FAMILIES, tiny


@pytest.mark.parametrize("family", [*FAMILIES, "gpt2"])
def test_the_attention_found_is_the_one_the_registry_is_called_with(family: str) -> None:
    loaded = tiny(family)
    seen: list[nn.Module] = []

    def spy(module: nn.Module, *args: object, **kwargs: object) -> object:
        seen.append(module)
        return ALL_ATTENTION_FUNCTIONS["sdpa"](module, *args, **kwargs)

    ALL_ATTENTION_FUNCTIONS["anatomy_spy"] = spy
    try:
        loaded.model.config._attn_implementation = "anatomy_spy"
        loaded.model(torch.tensor([[7, 8, 9]]))
    finally:
        del ALL_ATTENTION_FUNCTIONS["anatomy_spy"]
    layers = decoder_layers(loaded.model)
    assert len(layers) == loaded.num_layers
    assert [id(attention_module(layer)) for layer in layers] == [id(module) for module in seen]
    assert [attention_module(layer).layer_idx for layer in layers] == list(range(loaded.num_layers))


@pytest.mark.parametrize("family", [*FAMILIES, "gpt2"])
def test_zeroing_the_mlp_found_changes_the_model_as_removing_the_block_does(family: str) -> None:
    loaded = tiny(family)
    ids = torch.tensor([[7, 8, 9, 10]])
    before = loaded.base(ids).last_hidden_state
    outputs = []
    for layer in decoder_layers(loaded.model):
        block = mlp_module(layer)
        assert block is not attention_module(layer)
        handle = block.register_forward_hook(lambda module, args, output: outputs.append(output) or output * 0)
        assert not torch.allclose(loaded.base(ids).last_hidden_state, before)
        handle.remove()
    assert torch.equal(loaded.base(ids).last_hidden_state, before)
    assert all(output.shape == (1, 4, loaded.hidden_size) for output in outputs)


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_are_the_same_from_the_base(family: str) -> None:
    loaded = tiny(family)
    assert decoder_layers(loaded.base) == decoder_layers(loaded.model)  # type: ignore[arg-type]


def test_what_has_no_attention_is_refused() -> None:
    with pytest.raises(ModelError, match="no attention"):
        attention_module(nn.Linear(2, 2))
    loaded: LoadedModel = tiny("llama")
    loaded.model.config.num_hidden_layers = 9
    with pytest.raises(ModelError, match="no list of 9 decoder layers"):
        decoder_layers(loaded.model)


def test_a_layer_without_its_own_feed_forward_module_is_refused() -> None:
    layer = decoder_layers(tiny("llama").model)[0]
    layer.mlp = nn.Identity()
    with pytest.raises(ModelError, match="feed-forward"):
        mlp_module(layer)
