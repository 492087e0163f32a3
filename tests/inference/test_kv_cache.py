import pytest
import torch
from transformers import Cache

from penchant.errors import ModelError
from penchant.inference.kv_cache import Checkpoint, branch, growing_cache
from penchant.models.loading import LoadedModel
from tests.families import FAMILIES, SLIDING, tiny


def _read(loaded: LoadedModel, ids: torch.Tensor, cache: Cache) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = loaded.model(ids, past_key_values=cache, use_cache=True).logits
    return logits


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_read_behind_a_cut_is_as_if_read_anew(family: str) -> None:
    loaded = tiny(family)
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(6, 300, (2, 4 * SLIDING), generator=draw)
    with torch.no_grad():
        whole = loaded.model(ids).logits
    cache = growing_cache(loaded.model)
    _read(loaded, ids[:, :3], cache)
    early = Checkpoint(cache)
    _read(loaded, ids[:, 3:20], cache)
    later = Checkpoint(cache)
    for other in range(3):
        _read(loaded, (ids[:, 20:] + other) % 300, cache)
        assert cache.get_seq_length() == 4 * SLIDING
        later.restore()
    assert cache.get_seq_length() == 20
    assert _read(loaded, ids[:, 20:], cache) == pytest.approx(whole[:, 20:], abs=2e-4)
    early.restore()
    tail = torch.cat([_read(loaded, ids[:, n : n + 1], cache) for n in range(3, 4 * SLIDING)], 1)
    assert tail == pytest.approx(whole[:, 3:], abs=2e-4)


def test_cutting_copies_nothing_and_keeps_what_stays() -> None:
    loaded, ids = tiny("mistral"), torch.arange(6, 36)[None]
    cache = growing_cache(loaded.model)
    _read(loaded, ids[:, :10], cache)
    checkpoint = Checkpoint(cache)
    kept = [(layer.keys.clone(), layer.values.clone(), layer.keys.data_ptr()) for layer in cache.layers]  # type: ignore[union-attr]
    _read(loaded, ids[:, 10:], cache)
    checkpoint.restore()
    for layer, (keys, values, place) in zip(cache.layers, kept, strict=True):
        assert torch.equal(layer.keys, keys) and torch.equal(layer.values, values)  # type: ignore[arg-type]
        assert layer.keys.data_ptr() == place  # type: ignore[union-attr]


def test_a_cache_grows_past_its_room() -> None:
    layer = growing_cache(tiny().model).layers[0]
    keys, values = torch.randn(2, 1, 2, 1300, 3).unbind()
    for start, end in ((0, 2), (2, 500), (500, 501), (501, 1200), (1200, 1300)):
        found = layer.update(keys[:, :, start:end], values[:, :, start:end])
        assert torch.equal(found[0], keys[:, :, :end]) and torch.equal(found[1], values[:, :, :end])
    layer.keys, layer.values = layer.keys[:, :, :1000], layer.values[:, :, :1000]
    found = layer.update(keys[:, :, :600], values[:, :, :600])
    assert torch.equal(found[0], torch.cat([keys[:, :, :1000], keys[:, :, :600]], 2))
    assert torch.equal(found[1], torch.cat([values[:, :, :1000], values[:, :, :600]], 2))


def test_cutting_to_nothing_and_cutting_nothing() -> None:
    loaded, ids = tiny(), torch.arange(6, 16)[None]
    cache = growing_cache(loaded.model)
    nothing = Checkpoint(cache)
    nothing.restore()
    first = _read(loaded, ids, cache)
    Checkpoint(cache).restore()
    assert cache.get_seq_length() == 10
    nothing.restore()
    assert cache.get_seq_length() == 0
    assert torch.equal(_read(loaded, ids, cache), first)


def test_a_branch_leaves_what_it_began_with_as_it_was() -> None:
    loaded, ids = tiny("gemma3"), torch.arange(6, 46)[None]
    cache = growing_cache(loaded.model)
    with torch.no_grad():
        whole = loaded.model(ids).logits
    _read(loaded, ids[:, :20], cache)
    kept = [layer.keys.clone() for layer in cache.layers]  # type: ignore[union-attr]
    both = branch(cache, 2)
    found = _read(loaded, torch.cat([ids[:, 20:], ids[:, 20:].flip(1)]), both)
    assert found[:1] == pytest.approx(whole[:, 20:], abs=2e-4)
    assert all(torch.equal(layer.keys, keys) for layer, keys in zip(cache.layers, kept, strict=True))  # type: ignore[union-attr,arg-type]


def test_layers_that_forget_can_not_be_gone_back_in() -> None:
    loaded = tiny("mistral")
    cache = growing_cache(loaded.model, whole=False)
    for wrong in (Checkpoint, branch):
        with pytest.raises(ModelError, match="a cache with a DynamicSlidingWindowLayer can't be rewound"):
            wrong(cache)
