import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel, StaticCache

from penchant.inference.sites import Site, site_module
from penchant.steering.methods.attention_bias import AttentionBias, Heads, biased_attention
from tests.families import FAMILIES
from tests.lens.cases import eager_of, tokens
from tests.steering.methods.emphasis_cases import HEADS, LENGTH, ROWS, logits, network


@contextmanager
def eager_emphasis(model: PreTrainedModel, bonus: Callable[[int], Tensor]) -> Iterator[None]:
    """softmax(logits + bonus) written out: `bonus(layer)` [rows, heads, queries, keys], into the family's own eager
    attention."""
    module = sys.modules[type(model).__module__]
    original = module.eager_attention_forward  # type: ignore[attr-defined]

    def attend(layer: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any) -> Any:
        if mask is None:
            mask = torch.full((query.shape[2], key.shape[2]), torch.finfo(query.dtype).min).triu(1)[None, None]
        return original(layer, query, key, value, mask + bonus(layer.layer_idx).to(query.dtype), **options)

    module.eager_attention_forward = attend  # type: ignore[attr-defined]
    try:
        yield
    finally:
        module.eager_attention_forward = original  # type: ignore[attr-defined]


def bonus_of(
    rows: Sequence[AttentionBias | None], heads: Heads, length: int, pads: Sequence[int]
) -> Callable[[int], Tensor]:
    """The bonus as `eager_emphasis` wants it, for rows with so many columns of padding on the left."""

    def bonus(layer: int) -> Tensor:
        out = torch.zeros(len(rows), 4, length, length)
        chosen = heads.get(layer, [])
        for row, (one, pad) in enumerate(zip(rows, pads, strict=True)):
            for (start, end), nats in zip(one.spans, one.bonus, strict=True) if one else ():
                for head in range(4) if chosen is None else chosen:
                    out[row, head, pad + one.first :, pad + start : pad + end] += nats
        return out

    return bonus


def padded(side: str, lengths: Sequence[int] = (20, 15, 18)) -> tuple[Tensor, Tensor, list[int]]:
    """ids, attention mask and left padding of rows with these lengths."""
    width = max(lengths)
    ids, seen = torch.zeros(len(lengths), width, dtype=torch.long), torch.zeros(len(lengths), width, dtype=torch.long)
    for row, length in enumerate(lengths):
        at = slice(width - length, width) if side == "left" else slice(0, length)
        ids[row, at], seen[row, at] = tokens(length, seed=row)[0], 1
    return ids, seen, [width - length if side == "left" else 0 for length in lengths]


@pytest.mark.parametrize("side", ["none", "left", "right"])
@pytest.mark.parametrize("family", [*FAMILIES, "gpt2"])
def test_it_is_the_softmax_of_logits_plus_bonus(family: str, side: str) -> None:
    ids, seen, pads = padded(side, (20, 20, 20) if side == "none" else (20, 15, 18))
    options = {} if side == "none" else {"attention_mask": seen}
    if side == "left":
        options["position_ids"] = (seen.cumsum(1) - 1).clamp(min=0)
    model, eager = network(family), eager_of(family)
    for part in (*model.modules(), *eager.modules()):
        if isinstance(getattr(part, "scaling", None), float):
            part.scaling *= 1.5  # type: ignore[operator]  # families differ in it
    with eager_emphasis(eager, bonus_of(ROWS, HEADS, LENGTH, pads)):
        wanted = logits(eager, ids, **options)
    plain = logits(model, ids, **options)
    with biased_attention(model, ROWS, HEADS):
        got = logits(model, ids, **options)
    real = seen.bool()
    assert torch.allclose(got[real], wanted[real], atol=1e-4)
    assert (got - plain)[0].abs().max() > 0.1
    assert (got - plain)[1].abs().max() > 0.1
    assert torch.equal(got[2], plain[2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_stands_before_the_request_stays_bit_for_bit(family: str, dtype: torch.dtype) -> None:
    model = network(family, dtype=dtype)
    ids = tokens(LENGTH, 3)
    caches = []
    for rows in ((None, None, None), ROWS):
        cache = DynamicCache()
        with biased_attention(model, rows, HEADS):
            out = logits(model, ids, past_key_values=cache)
        caches.append((cache, out))
    (plain, before), (cache, after) = caches
    for row, begin in enumerate((12, 5, LENGTH)):
        assert torch.equal(before[row, :begin], after[row, :begin])
        for one, other in zip(plain.layers, cache.layers, strict=True):
            assert torch.equal(one.keys[row, :, :begin], other.keys[row, :, :begin])
            assert torch.equal(one.values[row, :, :begin], other.values[row, :, :begin])
    assert not torch.equal(plain.layers[3].keys[0, :, 12:], cache.layers[3].keys[0, :, 12:])


@pytest.mark.parametrize(
    ("rows", "heads"),
    [
        ((AttentionBias(((3, 6),), (0.0,)), None), {0: None}),
        ((None, None), {0: None}),
        ((AttentionBias((), ()), None), {0: None}),
        ((AttentionBias(((3, 6),), (1.0,)), None), {}),
        ((AttentionBias(((3, 6),), (1.0,)), None), {0: []}),
    ],
    ids=["zero", "none", "no spans", "no layers", "no heads"],
)
def test_nothing_to_emphasise_is_nothing_done(rows: Sequence[AttentionBias | None], heads: Heads) -> None:
    model = network("llama")
    ids = tokens(LENGTH, 2)
    before = logits(model, ids)
    with biased_attention(model, rows, heads):
        assert torch.equal(logits(model, ids), before)
    assert model.config._attn_implementation == "sdpa"  # not even read through the hooks


@pytest.mark.parametrize("side", ["left", "none"])
@pytest.mark.parametrize("steps", [(20,), (7, 7, 6), (13, *[1] * 7), (4, 3, *[1] * 13)])
@pytest.mark.parametrize("family", FAMILIES)
def test_chunks_and_decoding_are_one_forward_pass(family: str, steps: Sequence[int], side: str) -> None:
    model = network(family)
    ids, seen, _ = padded(side, (20, 20, 20) if side == "none" else (20, 15, 18))
    at = (seen.cumsum(1) - 1).clamp(min=0)
    with biased_attention(model, ROWS, HEADS):
        whole = logits(model, ids, attention_mask=seen, position_ids=at)
    cache, parts, begun = DynamicCache(config=model.config), [], 0  # with the config: sliding layers shorten their keys
    for step in steps:
        here = slice(begun, begun + step)
        mask = {} if side == "none" else {"attention_mask": seen[:, : begun + step]}
        with biased_attention(model, ROWS, HEADS):
            parts.append(logits(model, ids[:, here], position_ids=at[:, here], past_key_values=cache, **mask))
        begun += step
    real = seen.bool()
    assert torch.allclose(torch.cat(parts, 1)[real], whole[real], atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_a_static_cache_has_its_keys_at_their_own_columns(family: str) -> None:
    model = network(family)
    ids = tokens(LENGTH, 3)
    with biased_attention(model, ROWS, HEADS):
        whole = logits(model, ids)
        cache = StaticCache(config=model.config, max_cache_len=32)
        parts = [logits(model, ids[:, :14], past_key_values=cache)]
        parts += [logits(model, ids[:, i : i + 1], past_key_values=cache) for i in range(14, LENGTH)]
    assert torch.allclose(torch.cat(parts, 1), whole, atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "mistral", "gemma3"])
def test_a_batch_generates_what_its_rows_generate_alone(family: str) -> None:
    model = network(family)
    ids, seen, pads = padded("left")
    rows = (ROWS[0], ROWS[1], AttentionBias(((2, 9),), (3.0,)))
    for options in ({}, {"num_beams": 2, "num_return_sequences": 2}):
        settings = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": 1, **options}
        with biased_attention(model, rows, HEADS):
            made = model.generate(ids, attention_mask=seen, **settings)[:, LENGTH:]
        plain = model.generate(ids, attention_mask=seen, **settings)[:, LENGTH:]
        assert not torch.equal(made, plain)
        for row, pad in enumerate(pads):
            with biased_attention(model, rows[row : row + 1], HEADS):
                alone = model.generate(ids[row : row + 1, pad:], **settings)[:, LENGTH - pad :]
            count = len(alone)
            assert torch.equal(made[row * count : (row + 1) * count], alone)


def test_beams_of_a_row_stand_side_by_side() -> None:
    model = network("llama")
    ids = tokens(LENGTH, 3)
    with biased_attention(model, ROWS, HEADS):
        once = logits(model, ids)
        twice = logits(model, ids.repeat_interleave(2, 0))
    assert torch.allclose(twice, once.repeat_interleave(2, 0), atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt_neox"])
def test_other_heads_keep_their_output_bit_for_bit(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = torch.nn.functional.scaled_dot_product_attention

    def coarse(query: Tensor, key: Tensor, value: Tensor, *mask: Tensor, **options: Any) -> Tensor:
        out = original(query, key, value, *mask, **options)
        return out + 1e-3 if mask else out  # another kernel than the model's

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", coarse)
    model = network(family)
    ids = tokens(LENGTH, 3)
    with biased_attention(model, ROWS, {1: [1, 2]}):
        logits(model, ids)  # the first time, passes of their own check what the hooks do
    seen: list[Tensor] = []
    handle = site_module(model, Site(1, "heads")).register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    logits(model, ids)
    with biased_attention(model, ROWS, {1: [1, 2]}):
        logits(model, ids)
    handle.remove()
    plain, edited = (one.unflatten(-1, (4, -1)) for one in seen)
    assert torch.equal(plain[:, :, [0, 3]], edited[:, :, [0, 3]])
    for head in (1, 2):
        changed = (plain[:, :, head] != edited[:, :, head]).any(-1)
        assert changed[0, 12:].all() and changed[1, 5:].all()
        assert not changed[0, :12].any() and not changed[1, :5].any() and not changed[2].any()
