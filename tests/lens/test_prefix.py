import pytest
import torch

from penchant.errors import InputError
from penchant.inference.attention_hooks import observing
from penchant.inference.recurrence import recurrence
from penchant.lens.lens import Lens, Reading, Wanted
from penchant.lens.prefix import PrefixCache
from penchant.models.anatomy import decoder_layers
from tests.families import FAMILIES, WINDOW
from tests.lens.cases import ALL, counted, lens_of, tokens

WANTED = Wanted(queries=ALL, keys=ALL, row_layers=ALL)
TEXT = tokens(61)[0].tolist()
END = tokens(13, seed=5)[0].tolist()


def cached(lens: Lens, ids: list[int], block: int = 512, last_layer: int = 3) -> PrefixCache:
    cache = PrefixCache(lens, last_layer, block)
    cache.append(ids)
    return cache


def assert_close(one: Reading, other: Reading, atol: float = 5e-5) -> None:
    for layer in ALL:
        for name in ("queries", "keys", "rows"):
            torch.testing.assert_close(getattr(one, name)[layer], getattr(other, name)[layer], atol=atol, rtol=atol)


def assert_equal(one: Reading, other: Reading) -> None:
    for layer in ALL:
        for name in ("queries", "keys", "rows"):
            assert torch.equal(getattr(one, name)[layer], getattr(other, name)[layer]), (name, layer)


@pytest.mark.parametrize("block", [4, 16, 512])  # 61 = 15 * 4 + 1: a last block of one token
@pytest.mark.parametrize("family", FAMILIES)
def test_cached_in_blocks_equals_one_pass_without_a_cache(family: str, block: int) -> None:
    lens = lens_of(family)
    whole = lens.read(torch.tensor([TEXT + END]), WANTED)
    cut = Reading(
        {layer: tensor[:, :, len(TEXT) :] for layer, tensor in whole.queries.items()},
        {layer: tensor[:, :, len(TEXT) :] for layer, tensor in whole.keys.items()},
        {layer: tensor[:, :, len(TEXT) :] for layer, tensor in whole.rows.items()},
    )
    reading = cached(lens, TEXT, block).read(END, WANTED)
    assert reading.rows[0].shape == (1, 4, len(END), len(TEXT) + len(END))
    assert_close(reading, cut)
    one = cached(lens, TEXT, block).read(END[:1], WANTED)  # a single token gets no mask at all
    for layer in ALL:
        expected = cut.rows[layer][:, :, :1, : len(TEXT) + 1]
        torch.testing.assert_close(one.rows[layer], expected, atol=5e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_read_leaves_the_prefix_unchanged(family: str, dtype: torch.dtype) -> None:
    lens = lens_of(family, dtype)
    cache = cached(lens, TEXT, 16)
    first = cache.read(END, WANTED)
    cache.read(END[:4], Wanted(keys=frozenset({1})))  # a shallower read extends fewer layers
    cache.read(tokens(40, seed=8)[0].tolist(), WANTED)
    assert cache.length == len(TEXT)
    assert_equal(cache.read(END, WANTED), first)
    more = tokens(20, seed=9)[0].tolist()
    cache.append(more)
    assert cache.length == len(TEXT) + 20
    fresh = PrefixCache(lens, 3, 16)
    fresh.append(TEXT)
    fresh.append(more)
    assert_equal(cache.read(END, WANTED), fresh.read(END, WANTED))


@pytest.mark.parametrize("family", FAMILIES)
def test_appended_equals_encoded_at_once(family: str) -> None:
    lens = lens_of(family)
    grown = PrefixCache(lens, 3, 16)
    for start in range(0, len(TEXT), 9):
        grown.append(TEXT[start : start + 9])
        grown.read(END[:3], WANTED)
    assert_close(grown.read(END, WANTED), cached(lens, TEXT).read(END, WANTED))


def test_layers_behind_the_last_one_never_run_and_keep_nothing() -> None:
    lens = lens_of("llama")
    recurrence(lens.loaded)  # measured once, by passes of its own
    layers = decoder_layers(lens.loaded.model)
    with counted(*layers) as counts:
        cache = cached(lens, TEXT, 20, last_layer=1)
    assert counts == [4, 4, 0, 0]
    reading = cache.read(END, Wanted(row_layers=frozenset({1}), rows=(-1,)))
    expected = cached(lens, TEXT).read(END, WANTED).rows[1][:, :, -1:]
    torch.testing.assert_close(reading.rows[1], expected, atol=1e-5, rtol=0)
    with pytest.raises(InputError, match="layer 2 was asked of a prefix cached up to layer 1"):
        cache.read(END, Wanted(keys=frozenset({2})))


def test_an_empty_prefix_and_an_empty_read() -> None:
    lens = lens_of("gemma3")
    cache = PrefixCache(lens, 3)
    cache.append([])
    assert_close(cache.read(END, WANTED), lens.read(torch.tensor([END]), WANTED))
    assert_close(cache.read(END, WANTED), lens.read(torch.tensor([END]), WANTED))
    with pytest.raises(InputError, match="nothing to read"):
        cache.read([], WANTED)


def test_leaving_the_window_is_said_and_changes_nothing() -> None:
    lens = lens_of("llama")
    cache = cached(lens, TEXT)
    before = cache.read(END, WANTED)
    room = WINDOW - len(TEXT)
    for call in (lambda: cache.append([9] * (room + 1)), lambda: cache.read([9] * (room + 1), WANTED)):
        with pytest.raises(InputError, match=rf"61 cached and {room + 1} new tokens don't fit tiny-llama's window"):
            call()
    assert_equal(cache.read(END, WANTED), before)
    cache.append([9] * room)
    assert cache.length == WINDOW
    with pytest.raises(InputError, match="512 cached and 1 new"):
        cache.read([9], WANTED)


@pytest.mark.parametrize("family", ["llama", "gemma3"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("prefix", [0, 30])
@pytest.mark.parametrize("call", ["append", "read"])
def test_an_interrupted_append_or_read_leaves_the_prefix_whole(
    call: str, prefix: int, error: type[BaseException], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lens = lens_of(family)
    cache = cached(lens, TEXT[:prefix])
    second = decoder_layers(lens.loaded.model)[1]

    def breaks(*_: object, **__: object) -> None:
        raise error("in the middle of a block")

    with monkeypatch.context() as patch:
        patch.setattr(second, "forward", breaks)
        with pytest.raises(error):
            cache.append(TEXT[prefix:]) if call == "append" else cache.read(END, WANTED)
    assert cache.length == prefix
    cache.append(TEXT[prefix:])
    assert_close(cache.read(END, WANTED), cached(lens, TEXT).read(END, WANTED))


def test_what_was_read_stays_when_the_prefix_goes_on() -> None:
    cache = cached(lens_of("qwen3"), TEXT)
    reading = cache.read(END, WANTED)
    kept = [reading.keys[layer].clone() for layer in sorted(ALL)]
    cache.append(TEXT)
    cache.read(END, WANTED)
    assert all(torch.equal(reading.keys[layer], kept[layer]) for layer in sorted(ALL))


def test_masks_grow_with_the_block_not_with_the_prefix_squared() -> None:
    lens = lens_of("mistral")
    sizes: list[int] = []

    class Masks:
        def see(self, layer: int, query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, _: float) -> None:
            sizes.append(0 if mask is None else mask.numel())

    original = lens.read

    def spying(*args: object, **kwargs: object) -> Reading:
        with torch.no_grad(), observing(Masks()):
            lens.loaded.base(input_ids=args[0])
        return original(*args, **kwargs)  # type: ignore[arg-type]

    lens.read = spying  # type: ignore[method-assign]
    cached(lens, tokens(400)[0].tolist(), block=32)
    assert max(sizes) <= 32 * 400
