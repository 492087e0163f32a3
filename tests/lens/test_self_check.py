"""A lens looks at its model before it is used."""

from typing import Any

import pytest
import torch

from penchant.errors import ModelError
from penchant.inference import attention_hooks
from penchant.inference.attention_hooks import install
from penchant.inference.forward import logits
from penchant.lens import self_check
from penchant.lens.lens import Lens, Wanted
from penchant.models.anatomy import attention_module, decoder_layers
from tests.families import FAMILIES, tiny
from tests.index.cases import encoder_of

HYBRIDS = ("lfm2", "granitemoehybrid")
"""Those with attention that can be read."""


@pytest.mark.parametrize("family", [*FAMILIES, *HYBRIDS])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_models_that_do_what_they_should_are_read(family: str, dtype: torch.dtype) -> None:
    loaded = tiny(family, dtype=dtype)
    lens = Lens(loaded)
    layers = [1, 3] if family in HYBRIDS else [0, 1, 2, 3]
    assert sorted(lens.scaling) == layers
    modules = [attention_module(decoder_layers(loaded.model)[layer]) for layer in layers]
    assert [lens.scaling[layer] for layer in layers] == [module.scaling for module in modules]
    rows = lens.read(torch.arange(8, 20)[None], Wanted(row_layers=frozenset(layers))).rows
    assert all(torch.allclose(rows[layer].sum(-1), torch.ones(1, 4, 12), atol=1e-3) for layer in layers)


@pytest.mark.parametrize("family", HYBRIDS)
def test_records_of_a_hybrid_are_encoded_as_if_alone(family: str) -> None:
    encoder, texts = (
        encoder_of(family, heads=((1, 0), (3, 2)), weights=(1.0, 1.0)),
        ["a walk", "letters about the film"],
    )
    together = dict(encoder.records(texts))
    for i, text in enumerate(texts):
        ((_, alone),) = encoder.records([text])
        assert torch.allclose(together[i].keys, alone.keys, atol=1e-4)


def test_a_model_is_looked_at_once_and_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, ids = tiny("qwen3"), torch.arange(8, 20)[None]
    before = logits(loaded, ids)
    calls: list[object] = []
    monkeypatch.setattr(
        self_check, "logits", lambda *given, **options: calls.append(given) or logits(*given, **options)
    )
    first, second = Lens(loaded), Lens(loaded)
    assert first.layers is second.layers and len(calls) == 3
    assert torch.equal(logits(loaded, ids), before)


def changed(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Let attention compute something else than softmax(query . key) x value."""
    real = attention_hooks.sdpa_attention_forward
    monkeypatch.setattr(
        attention_hooks, "sdpa_attention_forward", lambda *given, **options: change(real, *given, **options)
    )


def test_attention_with_something_added_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def sunk(real: Any, *given: Any, **options: Any) -> Any:
        output, weights = real(*given, **options)
        return 0.9 * output, weights  # a sink takes a tenth

    loaded = tiny("llama")
    install(loaded.model)  # which compares logits, and would take the family's own function instead
    changed(monkeypatch, sunk)
    with pytest.raises(ModelError, match=r"at layer 0 isn't softmax\(query \. key\) x value.*mark with bm25 or dense"):
        Lens(loaded)


def test_rows_that_do_not_sum_to_one_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    real = self_check.attention_rows
    monkeypatch.setattr(self_check, "attention_rows", lambda *given, **options: 0.8 * real(*given, **options))
    with pytest.raises(ModelError, match=r"attention rows at layer 0 sum to 0\.800: expected 1"):
        Lens(tiny("llama"))


def test_attention_that_goes_nowhere_is_refused() -> None:
    loaded = tiny("llama")
    last = attention_module(decoder_layers(loaded.model)[3])
    last.register_forward_hook(lambda module, given, output: (torch.zeros_like(output[0]), *output[1:]))
    with pytest.raises(ModelError, match="a changed attention row at layer 3"):
        Lens(loaded)


def test_the_width_of_heads_is_that_of_the_keys() -> None:
    loaded = tiny("qwen3")
    loaded.model.config.head_dim = 16  # the model is made
    assert {heads.width for heads in Lens(loaded).layers.values()} == {32}
    assert {heads.width for heads in Lens(tiny("deepseek_v3")).layers.values()} == {24}
    assert [Lens(tiny("gemma4")).layers[layer].width for layer in range(4)] == [16, 32, 16, 32]


def test_a_config_with_another_number_of_heads_is_refused() -> None:
    loaded = tiny("qwen3")
    loaded.model.config.num_attention_heads = 8
    with pytest.raises(ModelError, match=r"has 4 heads and 2 key heads at layer 0: its configuration says 8 heads"):
        Lens(loaded)


def test_a_layer_that_does_not_attend_is_refused() -> None:
    loaded = tiny("llama")
    layer = decoder_layers(loaded.model)[2]
    layer.forward = lambda hidden_states, **options: hidden_states  # type: ignore[method-assign]
    with pytest.raises(ModelError, match=r"attends at layers \[0, 1, 3\] and has attention at \[0, 1, 2, 3\]"):
        Lens(loaded)
