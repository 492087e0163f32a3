import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import DynamicCache

from penchant.errors import InputError, ModelError
from penchant.lens.lens import Reading, Wanted
from penchant.lens.rows import attention_rows
from penchant.models.anatomy import attention_module, decoder_layers
from tests.families import FAMILIES, SLIDING
from tests.lens.cases import ALL, LAYERS, counted, eager_of, eager_queries_and_keys, eager_rows, lens_of, tokens

ROWS = Wanted(row_layers=ALL)
LENGTH = 5 * SLIDING + 3  # far beyond the window of sliding layers


def assert_same(one: Reading, other: Reading, atol: float) -> None:
    for name in ("queries", "keys", "rows"):
        mine, theirs = getattr(one, name), getattr(other, name)
        assert mine.keys() == theirs.keys()
        for layer in mine:
            torch.testing.assert_close(mine[layer], theirs[layer], atol=atol, rtol=atol)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILIES)
def test_rows_are_eager_attention(family: str, dtype: torch.dtype) -> None:
    ids = tokens(LENGTH, batch=2)
    # bf16: hidden states of the two kernels drift apart layer by layer, so only the first layers compare closely
    layers = ALL if dtype == torch.float32 else frozenset({0})
    rows = lens_of(family, dtype).read(ids, Wanted(row_layers=layers)).rows
    expected = eager_rows(eager_of(family, dtype), ids)
    for layer in layers:
        assert rows[layer].shape == (2, 4, LENGTH, LENGTH)
        assert rows[layer].dtype == torch.float32
        atol = 2e-5 if dtype == torch.float32 else 0.03
        torch.testing.assert_close(rows[layer], expected[layer].float(), atol=atol, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_bf16_rows_at_depth_stay_near_eager_in_float32(family: str) -> None:
    ids = tokens(LENGTH)
    rows = lens_of(family, torch.bfloat16).read(ids, ROWS).rows
    exact = eager_rows(eager_of(family), ids)
    eager = eager_rows(eager_of(family, torch.bfloat16), ids)
    for layer in ALL:
        mine = (rows[layer] - exact[layer]).abs().mean()
        theirs = (eager[layer].float() - exact[layer]).abs().mean()
        assert mine < 1.5 * theirs + 1e-3  # no worse than what bf16 costs eager attention itself


def test_sliding_layers_really_forget() -> None:
    ids = tokens(LENGTH)
    for family, sliding, full in (("mistral", ALL, frozenset()), ("gemma3", frozenset({0, 2}), frozenset({1, 3}))):
        rows = lens_of(family).read(ids, ROWS).rows
        for layer in sliding:
            assert rows[layer][0, :, -1, : LENGTH - SLIDING].abs().max() == 0
        for layer in full:
            assert rows[layer][0, :, -1, : LENGTH - SLIDING].sum() > 0.01


@pytest.mark.parametrize("family", FAMILIES)
def test_queries_and_keys_are_what_eager_attention_is_given(family: str) -> None:
    ids = tokens(LENGTH, batch=2)
    reading = lens_of(family).read(ids, Wanted(queries=ALL, keys=ALL))
    model = eager_of(family)
    with eager_queries_and_keys(model) as seen, torch.no_grad():
        model(input_ids=ids, use_cache=False)
    assert len(seen.queries) == LAYERS
    for layer in ALL:
        torch.testing.assert_close(reading.queries[layer], seen.queries[layer], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(reading.keys[layer], seen.keys[layer], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_softmax_of_captured_queries_and_keys_gives_the_rows(family: str) -> None:
    lens = lens_of(family)
    reading = lens.read(tokens(LENGTH), Wanted(queries=ALL, keys=ALL, row_layers=ALL))
    for layer, module in enumerate(decoder_layers(lens.loaded.model)):
        query, key = reading.queries[layer][0], reading.keys[layer][0]
        key = key.repeat_interleave(query.shape[0] // key.shape[0], dim=0)
        window = SLIDING if family == "mistral" or (family == "gemma3" and layer % 2 == 0) else LENGTH
        scaling = attention_module(module).scaling
        for row in (0, SLIDING, LENGTH - 1):
            low = max(0, row - window + 1)
            expected = torch.zeros(query.shape[0], LENGTH)
            logits = (key[:, low : row + 1] @ query[:, row, :, None])[..., 0] * scaling
            expected[:, low : row + 1] = logits.softmax(-1)
            torch.testing.assert_close(reading.rows[layer][0, :, row], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_early_exit_equals_full_depth_and_stops(family: str) -> None:
    lens = lens_of(family)
    ids = tokens(LENGTH)
    everything = lens.read(ids, Wanted(queries=ALL, keys=ALL, row_layers=ALL))
    layers = decoder_layers(lens.loaded.model)
    head = lens.loaded.model.get_output_embeddings()
    for last in range(LAYERS):
        one = frozenset({last})
        with counted(*layers, head) as counts:
            reading = lens.read(ids, Wanted(queries=one, keys=one, row_layers=one))
        assert counts == [int(i <= last) for i in range(LAYERS)] + [0]
        torch.testing.assert_close(reading.queries[last], everything.queries[last], atol=0, rtol=0)
        torch.testing.assert_close(reading.keys[last], everything.keys[last], atol=0, rtol=0)
        torch.testing.assert_close(reading.rows[last], everything.rows[last], atol=0, rtol=0)


def test_the_feed_forward_of_the_last_layer_never_runs() -> None:
    lens = lens_of("llama")
    last = decoder_layers(lens.loaded.model)[2].mlp
    with counted(last) as counts:
        lens.read(tokens(5), Wanted(keys=frozenset({2})))
    assert counts == [0]


@pytest.mark.parametrize("family", FAMILIES)
def test_chosen_rows(family: str) -> None:
    lens = lens_of(family)
    ids = tokens(LENGTH)
    full = lens.read(ids, Wanted(row_layers=frozenset({3}))).rows[3]
    some = lens.read(ids, Wanted(row_layers=frozenset({3}), rows=(-1, 0, 17))).rows[3]
    torch.testing.assert_close(some, full[:, :, [LENGTH - 1, 0, 17]], atol=1e-6, rtol=0)
    for row in (LENGTH, -LENGTH - 1):
        with pytest.raises(InputError, match=f"row {row} was asked of a read of {LENGTH} tokens"):
            lens.read(ids, Wanted(row_layers=frozenset({3}), rows=(0, row)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_not_attended_to(family: str, side: str) -> None:
    lens = lens_of(family)
    ids, short = tokens(LENGTH, batch=2), LENGTH - 9
    mask = torch.ones_like(ids, dtype=torch.bool)
    real = slice(9, None) if side == "left" else slice(None, short)
    mask[1] = False
    mask[1, real] = True
    positions = (mask.cumsum(-1) - 1).clamp_min(0)
    wanted = Wanted(keys=ALL, row_layers=ALL)
    together = lens.read(ids, wanted, seen=mask)
    alone = lens.read(ids[1:, real], wanted)
    expected = eager_rows(eager_of(family), ids, attention_mask=mask.long(), position_ids=positions)
    for layer in ALL:
        torch.testing.assert_close(together.rows[layer][1:, :, real, real], alone.rows[layer], atol=2e-5, rtol=0)
        torch.testing.assert_close(together.keys[layer][1:, :, real], alone.keys[layer], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(together.rows[layer][0], expected[layer][0], atol=2e-5, rtol=0)
        assert torch.isfinite(together.rows[layer]).all()  # the rows of padding see nothing: zeros, not nan


def test_additive_masks() -> None:
    query, key = torch.randn(1, 4, 6, 8), torch.randn(1, 2, 6, 8)
    hidden = torch.ones(6, 6).triu(1).bool()
    additive = torch.zeros(1, 1, 6, 6).masked_fill(hidden, torch.finfo(torch.float32).min)
    rows = attention_rows(query, key, additive, 0.3, None)
    torch.testing.assert_close(rows, attention_rows(query, key, None, 0.3, None), atol=1e-6, rtol=0)
    torch.testing.assert_close(rows, attention_rows(query, key, ~hidden[None, None], 0.3, None), atol=1e-6, rtol=0)
    naive = (query[0, 3, 5] @ key[0, 1].T * 0.3).softmax(-1)
    torch.testing.assert_close(rows[0, 3, 5], naive, atol=1e-6, rtol=0)


class Largest(TorchDispatchMode):
    """The element count of the largest tensor that any operation gives back."""

    def __init__(self) -> None:
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, torch.Tensor):
                self.numel = max(self.numel, tensor.untyped_storage().nbytes() // tensor.element_size())
        return out


@pytest.mark.parametrize("family", ["llama", "qwen3", "phi3", "gpt_neox"])
def test_no_tensor_of_tokens_by_tokens(family: str) -> None:
    lens = lens_of(family)
    length = 1600
    lens.loaded.model.config.max_position_embeddings = length
    wanted = Wanted(queries=frozenset({2}), keys=frozenset({2}), row_layers=frozenset({1, 3}), rows=(-1, -2))
    with Largest() as seen:
        lens.read(tokens(length), wanted)
    assert seen.numel < length * length / 5  # measured: the feed-forward's activations, length x 192
    with Largest() as seen:
        lens.read(tokens(length), Wanted(row_layers=frozenset({1})))
    assert seen.numel >= length * length  # the check sees such a tensor where all rows are asked for


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cache_made_for_the_model_reads_the_same(family: str) -> None:
    """Sliding layers of such a cache keep only their window: rows have no columns for what is out of reach."""
    lens = lens_of(family)
    ids = tokens(LENGTH)
    whole = lens.read(ids, Wanted(queries=ALL, row_layers=ALL))
    cache = DynamicCache(config=lens.loaded.model.config)
    lens.read(ids[:, :30], Wanted(keys=frozenset({LAYERS - 1})), cache=cache)
    rest = lens.read(ids[:, 30:], Wanted(queries=ALL, row_layers=ALL), cache=cache)
    for layer in ALL:
        columns = rest.rows[layer].shape[-1]
        expected = whole.rows[layer][:, :, 30:]
        torch.testing.assert_close(rest.rows[layer], expected[..., LENGTH - columns :], atol=2e-5, rtol=0)
        torch.testing.assert_close(rest.queries[layer], whole.queries[layer][:, :, 30:], atol=1e-4, rtol=1e-4)


def test_layers_that_are_not_there() -> None:
    lens = lens_of("llama")
    with pytest.raises(ModelError, match="layer 4 was asked of tiny-llama, which attends at layers 0 to 3"):
        lens.read(tokens(3), Wanted(keys=frozenset({4})))


def test_a_model_that_hides_its_attention_is_told() -> None:
    lens = lens_of("llama")
    lens.loaded.model.config._attn_implementation = "sdpa"  # somebody points the model elsewhere
    with pytest.raises(ModelError, match="never reached layer 1"):
        lens.read(tokens(3), Wanted(keys=frozenset({1})))


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_are_distributions(family: str) -> None:
    rows = lens_of(family).read(tokens(LENGTH), ROWS).rows
    for layer in ALL:
        assert math.isclose(float(rows[layer].sum(-1).min()), 1.0, abs_tol=1e-5)
        assert math.isclose(float(rows[layer].sum(-1).max()), 1.0, abs_tol=1e-5)
