import pytest
import torch

from penchant.errors import InputError
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.sites import Site
from penchant.steering.formats.blocks import block_vectors, same_as_block
from tests.families import tiny
from tests.steering.interchange.cases import adding, logits

# Norms behind attention and MLP: gemma3. Attention and MLP side by side: gpt_neox.
SAME = {
    "llama": {"mlp"},
    "qwen3": {"mlp"},
    "mistral": {"mlp"},
    "phi3": {"mlp"},
    "gpt2": {"mlp"},
    "gemma3": set(),
    "gpt_neox": {"mlp", "attention"},
}


@pytest.mark.parametrize("family", SAME)
def test_which_sites_are_the_same_behind_the_layer(family: str) -> None:
    model = tiny(family)
    before = [len(module._forward_pre_hooks) for module in model.model.modules()]
    assert {kind for kind in ("mlp", "attention") if same_as_block(model, Site(2, kind))} == SAME[family]
    assert [len(module._forward_pre_hooks) for module in model.model.modules()] == before


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_does_not_blur_it(dtype: torch.dtype) -> None:
    model = tiny("llama", dtype=dtype)
    assert same_as_block(model, Site(1, "mlp")) and not same_as_block(model, Site(1, "attention"))
    assert model.model.dtype == dtype  # the layer's copy was widened, not the layer


def test_a_weak_mlp_is_still_one_that_reads() -> None:
    """A vector at the attention's output passes an MLP that hardly answers: near a block vector, and not the same."""
    model = tiny("llama", seed=7)
    with torch.no_grad():
        for name, parameter in model.model.named_parameters():
            if "2.mlp" in name:
                parameter.mul_(0.03)
    assert not same_as_block(model, Site(2, "attention"))


@pytest.mark.parametrize("family", ["llama", "gpt_neox", "gpt2"])
def test_moved_vectors_do_the_same(family: str) -> None:
    model = tiny(family)
    sites = [f"{layer}.{kind}" for layer in (1, 2) for kind in (*SAME[family], "block")]
    before = adding(model, sites)
    blocks = block_vectors(before, model, False, "peer")
    after = Intervention({Site(layer, "block"): Edit(add[None]) for layer, add in blocks.vectors.items()}, before.scope)
    assert blocks.notes == () and list(blocks.vectors) == [1, 2]
    plain = logits(model, None)
    assert (logits(model, before) - plain).abs().max() > 0.1
    torch.testing.assert_close(logits(model, after), logits(model, before), rtol=0, atol=2e-4)


def test_what_is_not_the_same_is_refused_unless_asked_for() -> None:
    model = tiny("llama")
    both = adding(model, ["2.attention", "2.mlp"])
    with pytest.raises(InputError, match=r"in tiny-llama 2.attention isn't the same; pass approximate=True"):
        block_vectors(both, model, False, "peer")
    blocks = block_vectors(both, model, True, "peer")
    summed = both.edits[Site(2, "attention")].add + both.edits[Site(2, "mlp")].add
    torch.testing.assert_close(blocks.vectors[2], summed[0])
    assert blocks.notes == ("2.attention is added behind layer 2 instead",)
    assert len(block_vectors(both, tiny("gemma3"), True, "peer").notes) == 2


def test_without_the_model() -> None:
    intervention = adding(tiny(), ["2.mlp"])
    with pytest.raises(InputError, match=r"whether 2.mlp can be moved there depends on the model; pass model="):
        block_vectors(intervention, None, False, "peer")
    assert block_vectors(intervention, None, True, "peer").notes == (
        "2.mlp is added behind layer 2 instead (unchecked)",
    )
    assert block_vectors(adding(tiny(), ["2.block"]), None, False, "peer").notes == ()


def test_heads_and_scales() -> None:
    model = tiny()
    with pytest.raises(InputError, match=r"peer can't write at 1.heads"):
        block_vectors(adding(model, ["1.heads"]), model, True, "peer")
    scaled = Intervention({Site(1, "block"): Edit(torch.ones(1, 64), torch.full((1, 64), 1.5))})
    with pytest.raises(InputError, match=r"1.block is scaled: peer can only add"):
        block_vectors(scaled, model, True, "peer")
    neutral = Intervention({Site(1, "block"): Edit(torch.ones(1, 64), torch.ones(1, 64))})
    assert list(block_vectors(neutral, model, False, "peer").vectors) == [1]
    with pytest.raises(InputError, match="nothing is added"):
        block_vectors(Intervention({Site(1, "block"): Edit(None, torch.ones(1, 64))}), model, False, "peer")
