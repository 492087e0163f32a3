"""What emphasis leaves alone, what it allocates and what it refuses."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

from penchant.errors import InputError
from penchant.inference import attention_hooks
from penchant.inference.attention_hooks import Call, editing
from penchant.lens.lens import Lens, Wanted
from penchant.steering.methods import attention_bias as module_under_test
from penchant.steering.methods.attention_bias import AttentionBias, Heads, biased_attention
from tests.families import tiny
from tests.lens.cases import tokens
from tests.steering.methods.emphasis_cases import HEADS, LENGTH, ROWS, logits, network


def test_masks_are_no_larger_than_they_must_be(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[torch.Size] = []
    original = torch.nn.functional.scaled_dot_product_attention

    def watched(query: Tensor, key: Tensor, value: Tensor, *mask: Tensor, **options: Any) -> Tensor:
        shapes.extend(one.shape for one in mask)  # transformers names it attn_mask
        return original(query, key, value, *mask, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    model = network("llama")
    ids = tokens(LENGTH, 3)
    cache = DynamicCache()
    with biased_attention(model, ROWS, {1: [1], 2: None}):
        whole = logits(model, ids)
        assert shapes == [(3, 1, 2 * 15, 20), (3, 2, 2 * 15, 20)]  # head 1 reads key head 0, which two heads share
        logits(model, ids[:, :5], past_key_values=cache)
        shapes.clear()
        logits(model, ids[:, 5:6], past_key_values=cache)
        assert shapes == [(3, 1, 2, 6), (3, 2, 2, 6)]
        shapes.clear()
        monkeypatch.setattr(module_under_test, "MASK", 3 * 4 * LENGTH * 2)
        assert torch.allclose(logits(model, ids), whole, atol=1e-5)
        assert max(shape.numel() for shape in shapes) <= 3 * 4 * LENGTH * 2
        assert len(shapes) == 4 + 8


def test_other_threads_and_other_models_are_left_alone() -> None:
    model, other = network("llama"), network("llama", seed=1)
    ids = tokens(LENGTH, 3)
    plain, of_other = logits(model, ids), logits(other, ids)
    with biased_attention(other, ROWS, HEADS):
        logits(other, ids)  # both are read through the hooks from here on
    seen: list[Tensor] = []
    with biased_attention(model, ROWS, HEADS):
        thread = threading.Thread(target=lambda: seen.append(logits(model, ids)))
        thread.start()
        thread.join()
        emphasised_once = logits(model, ids)
        assert torch.equal(logits(other, ids), of_other)
        logits(other, tokens(LENGTH, 4))  # its batches are its own affair
        with biased_attention(model, (None, ROWS[0], None), HEADS):
            inner = logits(model, ids)
        with biased_attention(model, (None, None, None), HEADS):
            assert torch.equal(logits(model, ids), plain)
        assert torch.equal(logits(model, ids), emphasised_once)
    assert torch.equal(seen[0], plain)
    assert torch.equal(inner[[0, 2]], plain[[0, 2]]) and not torch.equal(inner[1], plain[1])
    assert not torch.equal(emphasised_once, plain)
    with pytest.raises(KeyError), biased_attention(model, ROWS, HEADS):
        raise KeyError
    assert torch.equal(logits(model, ids), plain)
    logits(model, tokens(LENGTH, 4))  # of any size again
    assert len(model.get_decoder()._forward_pre_hooks) == 1  # type: ignore[no-untyped-call]


def test_what_the_model_computed_is_not_written_to() -> None:
    class Watching:
        def edit(self, module: torch.nn.Module, call: Call) -> Tensor:
            before = call.output.clone()
            out = inner.edit(module, call)
            same.append(torch.equal(call.output, before))
            return out

    same: list[bool] = []
    with biased_attention(model := network("llama"), ROWS, HEADS):
        inner = attention_hooks._editor.get()
        assert inner is not None
        with editing(Watching()):
            logits(model, tokens(LENGTH, 3))
    assert same == [True] * 4


def test_overlapping_spans_count_once_with_the_largest() -> None:
    one = AttentionBias(((2, 6), (4, 8), (9, 10)), (1.0, 0.5, -2.0))
    assert one.by_token().tolist() == [0, 0, 1, 1, 1, 1, 0.5, 0.5, 0, -2]
    assert one.first == 10
    assert AttentionBias(((2, 6),), (1.0,), 3).first == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AttentionBias(((3, 3),), (1.0,)), "span 3:3"),
        (lambda: AttentionBias(((-1, 3),), (1.0,)), "span -1:3"),
        (lambda: AttentionBias(((1, 3),), ()), "0 bonuses for 1 spans"),
        (lambda: AttentionBias(((1, 3),), (float("nan"),)), "isn't finite"),
        (lambda: AttentionBias(((1, 3),), (1.0,), -1), "negative"),
    ],
)
def test_a_wrong_emphasis_is_refused(make: Callable[[], AttentionBias], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("heads", [{4: None}, {-1: None}, {0: [4]}, {0: [-1]}])
def test_a_head_that_is_not_there_is_refused(heads: Heads) -> None:
    with pytest.raises(InputError, match="4 layers of 4 heads"), biased_attention(network("llama"), ROWS, heads):
        pass


def test_a_batch_or_mask_that_does_not_fit_is_refused() -> None:
    model = network("llama")
    with biased_attention(model, ROWS, HEADS):
        with pytest.raises(InputError, match="a batch of 4 rows for an intervention of 3"):
            logits(model, tokens(LENGTH, 4))
        with pytest.raises(InputError, match="emphasis reads padding from an attention mask"):
            logits(model, tokens(4, 3), attention_mask=torch.zeros(3, 1, 4, 4))
        cache = DynamicCache()
        logits(model, tokens(4, 3), past_key_values=cache)
        with pytest.raises(InputError, match="a mask of 4 columns: expected 8"):
            logits(model, tokens(4, 3), past_key_values=cache, attention_mask=torch.ones(3, 4))


def test_it_works_beside_a_probe() -> None:
    loaded = tiny("qwen3")
    ids = tokens(LENGTH, 3)
    lens, wanted = Lens(loaded), Wanted(queries=frozenset({1, 3}))
    plain = lens.read(ids, wanted)
    with biased_attention(loaded.model, ROWS, {1: None}):
        read = lens.read(ids, wanted)
    assert torch.equal(read.queries[1], plain.queries[1])
    assert not torch.equal(read.queries[3][0], plain.queries[3][0])
