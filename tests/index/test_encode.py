import numpy as np
import pytest
import torch

from penchant.errors import InputError, ModelError
from penchant.index import encode
from penchant.index.encode import BLOCK, OVERLAP, EncodedRecord, Encoder
from penchant.inference.attention_hooks import observing
from penchant.lens.lens import Lens, Wanted
from penchant.models.anatomy import decoder_layers
from tests.families import FAMILIES, WINDOW, tiny
from tests.index.cases import calibration_of, encoder_of, model_calls, read_alone, texts
from tests.lens.cases import counted

ODD = ["", "a", "شكرا جزيلا, see you", "👩‍👩‍👧‍👦 and 👍🏽", "nul \x00 inside", "half \ud83d character", "\u200b\u200b"]


def all_records(encoder: Encoder, bodies: list[str]) -> list[EncodedRecord]:
    done = dict(encoder.records(bodies))
    assert sorted(done) == list(range(len(bodies)))
    return [done[i] for i in range(len(bodies))]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_padded_batch_equals_each_record_alone(family: str, dtype: torch.dtype) -> None:
    encoder = encoder_of(family, dtype)
    bodies = [*texts(17, longest=40), *ODD]
    together = all_records(encoder, bodies)
    for body, record in zip(bodies, together, strict=True):
        [(position, alone)] = list(encoder.records([body]))
        assert position == 0
        assert record.keys.dtype == dtype
        assert np.array_equal(record.spans, alone.spans)
        atol = 5e-5 if dtype == torch.float32 else 0.15
        torch.testing.assert_close(record.keys, alone.keys, atol=atol, rtol=atol)


@pytest.mark.parametrize("family", FAMILIES)
def test_keys_are_those_of_a_plain_read(family: str) -> None:
    encoder = encoder_of(family)
    bodies = texts(6)
    group = 4 // encoder.lens.loaded.num_kv_heads
    assert encoder.pairs == sorted({(layer, head // group) for layer, head in encoder.calibration.heads})
    assert [encoder.pairs[i] for i in encoder.pair_of] == [
        (at, head // group) for at, head in encoder.calibration.heads
    ]
    for body, record in zip(bodies, all_records(encoder, bodies), strict=True):
        plain = read_alone(encoder, body, "keys")
        for i, (layer, head) in enumerate(encoder.pairs):
            torch.testing.assert_close(record.keys[i], plain[layer][head], atol=5e-5, rtol=5e-5)


def test_results_come_by_length_and_say_whose_they_are() -> None:
    encoder = encoder_of()
    bodies = ["by the sea and the long walks", "a", "the film", ""]
    assert [position for position, _ in encoder.records(bodies)] == [1, 2, 0, 3]
    assert list(encoder.records([])) == []


@pytest.mark.parametrize("body", [*texts(3), *ODD, "mixed العربية and 日本語 and 👍🏽 " * 20])
def test_spans_are_the_offsets_of_the_tokenizer(body: str) -> None:
    encoder = encoder_of()
    tokenizer = encoder.lens.loaded.tokenizer
    clean = body.replace("\ud83d", "?")
    expected = tokenizer(clean, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    [record] = all_records(encoder, [body])
    assert record.spans.dtype == np.int32
    assert record.spans.tolist() == [list(pair) for pair in expected]
    assert record.keys.shape == (len(encoder.pairs), len(expected), 16)
    covered = {c for start, end in record.spans for c in range(start, end)}
    assert covered == set(range(len(body)))


@pytest.mark.parametrize("length", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK - OVERLAP, 2 * BLOCK - OVERLAP + 1, 1000])
def test_a_long_record_is_split_with_overlap_and_every_token_is_stored_once(length: int) -> None:
    encoder = encoder_of()
    tokenizer = encoder.lens.loaded.tokenizer
    body = "0123456789" * 200
    encoded = tokenizer(body, add_special_tokens=False, return_offsets_mapping=True)
    body = body[: encoded["offset_mapping"][length - 1][1]]
    ids = tokenizer(body, add_special_tokens=False)["input_ids"]
    assert len(ids) == length
    [short, record, _] = all_records(encoder, ["a film", body, "by the sea"])
    assert record.keys.shape[1] == length
    assert record.spans.tolist() == [list(pair) for pair in encoded["offset_mapping"][:length]]
    torch.testing.assert_close(short.keys, all_records(encoder, ["a film"])[0].keys, atol=5e-5, rtol=5e-5)
    prefix = tokenizer(encoder.calibration.prefix)["input_ids"]
    stored = 0  # by hand: block after block, each behind the prefix, the first OVERLAP tokens only as context
    start = 0
    while stored < length:
        part = ids[start : start + BLOCK]
        keys = encoder.lens.read(torch.tensor([prefix + part]), Wanted(keys=frozenset({1, 2}))).keys
        fresh = slice(stored - start, None)
        for i, (layer, head) in enumerate(encoder.pairs):
            expected = keys[layer][0, head, len(prefix) :][fresh]
            got = record.keys[i, stored : stored + expected.shape[0]]
            torch.testing.assert_close(got, expected, atol=5e-5, rtol=5e-5)
        stored = start + len(part)
        start = stored - OVERLAP
    assert stored == length


def test_a_record_of_a_hundred_thousand_characters() -> None:
    encoder = encoder_of(heads=((0, 0),), weights=(1.0,))
    body = "the sea " * 12_500
    with model_calls(encoder.lens) as calls:
        [record] = all_records(encoder, [body])
    assert record.spans[-1][1] == 100_000
    assert len(record.spans) == record.keys.shape[1]
    assert max(calls) <= encode.BATCH_TOKENS


def test_batches_hold_at_most_so_many_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = encoder_of()
    bodies = texts(60)
    expected = all_records(encoder, bodies)
    monkeypatch.setattr(encode, "BATCH_TOKENS", 200)
    with model_calls(encoder.lens) as calls:
        again = all_records(encoder, bodies)
    assert len(calls) >= 5
    assert max(calls) <= 200
    for one, other in zip(expected, again, strict=True):
        torch.testing.assert_close(one.keys, other.keys, atol=5e-5, rtol=5e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_requests_in_a_batch_equal_each_alone_and_a_plain_read(family: str) -> None:
    encoder = encoder_of(family)
    asked = ["Where?", "What should I read by the sea on Tuesday?", "Who", "half \ud83d character"]
    together = encoder.requests(asked)
    for text, queries in zip(asked, together, strict=True):
        torch.testing.assert_close(queries, encoder.requests([text])[0], atol=5e-5, rtol=5e-5)
        plain = read_alone(encoder, text.replace("\ud83d", "?"), "queries")
        for i, (layer, head) in enumerate(encoder.calibration.heads):
            torch.testing.assert_close(queries[i], plain[layer][head], atol=5e-5, rtol=5e-5)


def test_the_neutral_query_is_the_mean_of_all_rows() -> None:
    encoder = encoder_of("qwen3")
    rows = torch.cat(encoder.requests(list(encoder.calibration.neutral)), dim=1)
    assert encoder.neutral_query.shape == (4, 1, 32)
    torch.testing.assert_close(encoder.neutral_query, rows.mean(1, keepdim=True), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_scaling_is_what_the_model_uses(family: str) -> None:
    encoder = encoder_of(family)
    seen: list[float] = []

    class Look:
        def see(self, layer: int, q: torch.Tensor, k: torch.Tensor, m: torch.Tensor | None, scaling: float) -> None:
            seen.append(scaling)

    with torch.no_grad(), observing(Look()):
        encoder.lens.loaded.base(torch.tensor([[9, 10]]))
    assert {encoder.scaling} == set(seen)


def test_a_request_that_does_not_fit_the_window() -> None:
    encoder = encoder_of()
    prefix = len(encoder.lens.loaded.tokenizer(encoder.calibration.prefix)["input_ids"])
    fits = "0" * (WINDOW - prefix)
    assert encoder.requests([fits])[0].shape[1] == WINDOW - prefix
    for text in (fits + "0", ""):
        with pytest.raises(InputError, match=rf"request has {len(text)} tokens: expected 1 to {WINDOW - prefix} for"):
            encoder.requests(["fine", text])


def test_a_prefix_of_nothing() -> None:
    encoder = encoder_of(prefix="")
    body = "the film by the sea"
    [record] = all_records(encoder, [body])
    plain = read_alone(encoder, body, "keys")
    torch.testing.assert_close(record.keys[0], plain[1][0], atol=5e-5, rtol=5e-5)


def test_a_tokenizer_without_offsets_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    lens = Lens(tiny("llama"))
    monkeypatch.setattr(type(lens.loaded.tokenizer), "is_fast", False)
    with pytest.raises(ModelError, match="the tokenizer of tiny-llama gives no character offsets"):
        list(Encoder(lens, calibration_of(lens)).records(["a"]))


def test_deep_layers_do_not_run() -> None:
    encoder = encoder_of()
    with counted(*decoder_layers(encoder.lens.loaded.model)) as counts:
        all_records(encoder, texts(3))
        encoder.requests(["What?"])
    assert counts == [2, 2, 2, 0]
