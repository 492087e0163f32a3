import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from penchant.history.records import History, Record, Segment
from penchant.index import attention, chunk_list
from penchant.index.attention import AttentionIndex, Change
from penchant.index.table import record_key
from tests.families import FAMILIES
from tests.index.cases import (
    REQUEST,
    dense_scores,
    encoder_of,
    history_of,
    model_calls,
    scores,
    texts,
    whole,
)


def rows_of(index: AttentionIndex, record: Record) -> torch.Tensor:
    for chunk in index._stored.chunks:
        at = 0
        for key, rows in chunk.records:
            if key == record_key(record):
                return chunk.block(at, at + rows)
            at += rows
    raise AssertionError(f"{record.id} isn't stored")


def built(history: History, family: str = "llama", dtype: torch.dtype = torch.float32) -> AttentionIndex:
    index = AttentionIndex(encoder_of(family, dtype))
    index.sync(history)
    return index


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_the_dense_computation(family: str) -> None:
    encoder = encoder_of(family)
    history = history_of(texts(9))
    segments = [
        segment
        for i, record in enumerate(history)
        for start, end in ((0, len(record.body) // 2), (len(record.body) // 2, len(record.body)))
        for segment in [Segment(i, record.id, start, end, record.body[start:end])]
    ]
    index = AttentionIndex(encoder)
    index.sync(history)
    got, fed = index.score(history, segments, REQUEST)
    np.testing.assert_allclose(got, dense_scores(encoder, history, segments, REQUEST), atol=2e-3)
    assert fed == len(encoder.lens.loaded.tokenizer(REQUEST)["input_ids"])
    order = [5, 0, 17, 3, 3]  # segments out of order, and one twice: the same log masses for the same places
    some = [segments[i] for i in order]
    np.testing.assert_allclose(
        index.score(history, some, REQUEST)[0], dense_scores(encoder, history, some, REQUEST), atol=2e-3
    )
    heads = index.head_scores(history, segments, REQUEST)
    np.testing.assert_allclose(np.float32(encoder.calibration.weights) @ heads, got, atol=1e-5)


def test_scores_do_not_depend_on_the_order_of_storing_nor_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    history = history_of(texts(40))
    expected = scores(built(history), history)
    index = AttentionIndex(encoder_of())
    backwards = History([*history.records][::-1], "ann")
    index.sync(backwards)
    np.testing.assert_allclose(scores(index, history), expected, atol=1e-3)
    monkeypatch.setattr(attention, "TOKENS_A_BLOCK", 5)  # most records span two blocks
    np.testing.assert_allclose(scores(built(history), history), expected, atol=1e-3)


@pytest.mark.parametrize("family", ["llama", "gemma3"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_appending_equals_a_rebuild_and_touches_nothing_else(family: str, dtype: torch.dtype) -> None:
    bodies = texts(30)
    index = built(history_of(bodies[:20]), family, dtype)
    before = [rows_of(index, record).clone() for record in history_of(bodies[:20])]
    longer = history_of(bodies)
    with model_calls(index.encoder.lens) as calls:
        change = index.sync(longer)
    tokens = sum(len(index.encoder.lens.loaded.tokenizer(body)["input_ids"]) for body in bodies[20:])
    assert change == Change(10, 0, tokens)
    assert len(calls) == 1
    for record, rows in zip(longer.records[:20], before, strict=True):
        assert torch.equal(rows_of(index, record), rows)
    atol = 2e-3 if dtype == torch.float32 else 0.3
    np.testing.assert_allclose(scores(index, longer), scores(built(longer, family, dtype), longer), atol=atol)
    assert index.tokens == built(longer, family, dtype).tokens


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_forgetting_equals_a_rebuild_and_runs_no_model(family: str) -> None:
    bodies = texts(30)
    history = history_of(bodies)
    index = built(history, family)
    scores(index, history)  # a layout is cached
    rest = History([record for i, record in enumerate(history) if i % 3], "ann")
    before = [rows_of(index, record).clone() for record in rest]
    with model_calls(index.encoder.lens) as calls:
        assert index.sync(rest) == Change(0, 10, 0)
    assert calls == []
    for record, rows in zip(rest, before, strict=True):
        assert torch.equal(rows_of(index, record), rows)
    rebuilt = built(rest, family)
    np.testing.assert_allclose(scores(index, rest), scores(rebuilt, rest), atol=2e-3)
    assert (index.tokens, index.nbytes) == (rebuilt.tokens, rebuilt.nbytes)


def test_nothing_new_is_nothing_done() -> None:
    history = history_of(texts(5))
    index = built(history)
    again = history_of(texts(5))  # another object
    with model_calls(index.encoder.lens) as calls:
        assert index.sync(again) == Change(0, 0, 0)
    assert calls == []
    assert np.array_equal(scores(index, again), scores(index, history))


def test_a_changed_text_of_the_same_id_is_encoded_again() -> None:
    bodies = texts(6)
    index = built(history_of(bodies))
    changed = history_of([*bodies[:3], "peanuts, peanuts and the film", *bodies[4:]])
    change = index.sync(changed)
    assert (change.records_added, change.records_dropped) == (1, 1)
    np.testing.assert_allclose(scores(index, changed), scores(built(changed), changed), atol=2e-3)
    relabelled = History([Record(r.text, id=r.id, label=3, kind="k") for r in changed], "ann")
    assert index.sync(relabelled) == Change(0, 0, 0)


def test_records_that_are_equal_or_share_an_id() -> None:
    history = History([Record("by the sea"), Record("a long film"), Record("by the sea"), Record("peanuts")], "ann")
    index = built(history)
    got = scores(index, history)
    assert got[0] == got[2]
    np.testing.assert_allclose(got, dense_scores(index.encoder, history, whole(history), REQUEST), atol=2e-3)
    twins = History([Record("by the sea", id="x"), Record("peanuts", id="x"), Record("a film", id="y")], "ann")
    index.sync(twins)
    np.testing.assert_allclose(scores(index, twins), scores(built(twins), twins), atol=2e-3)


def test_empty_short_and_odd_histories() -> None:
    index = AttentionIndex(encoder_of())
    empty = History([], "ann")
    assert index.sync(empty) == Change(0, 0, 0)
    assert scores(index, empty).shape == (0,)
    one = history_of(["by the sea"])
    index.sync(one)
    assert scores(index, one).tolist() == [0.0]
    assert index.score(one, [], REQUEST)[0].shape == (0,)
    odd = history_of(["👩‍👩‍👧‍👦👍🏽 yes", "שלום עולם", "nul \x00 nul", "half \ud83d", "the film", " \t.", "\u200b"])
    index.sync(odd)
    got = scores(index, odd)
    assert np.isfinite(got).all()
    clean = history_of([record.text.replace("\ud83d", "?") for record in odd])
    np.testing.assert_allclose(got, dense_scores(index.encoder, clean, whole(odd), REQUEST), atol=2e-3)
    assert index.sync(empty) == Change(0, 7, 0)
    assert (index.tokens, index.nbytes) == (0, 0)


def test_a_segment_without_tokens_comes_last() -> None:
    history = history_of(texts(5))
    length = len(history[2].body)
    segments = [*whole(history), Segment(2, "r2", length, length, "")]
    heads = built(history).head_scores(history, segments, REQUEST)
    assert np.isfinite(heads).all()
    assert (heads[:, -1] == heads[:, :-1].min(axis=1)).all()
    np.testing.assert_allclose(heads[:, :-1], built(history).head_scores(history, whole(history), REQUEST), atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_int8_ranks_nearly_as_native_in_a_fraction_of_the_bytes(family: str) -> None:
    history = history_of(texts(60))
    for dtype, most in ((torch.float32, 0.5), (torch.bfloat16, 0.85)):  # head_dim is only 16 and 32 here
        native = built(history, family, dtype)
        small = AttentionIndex(encoder_of(family, dtype), storage="int8")
        small.sync(history)
        offsets = 8 * native.tokens
        keys = native.nbytes - offsets
        dim = native.encoder.lens.loaded.head_dim
        assert small.nbytes - offsets == keys / dtype.itemsize * (1 + dtype.itemsize / dim)
        assert small.nbytes < most * native.nbytes
        ranks = [scores(index, history).argsort().argsort() for index in (native, small)]
        assert np.corrcoef(ranks)[0, 1] > 0.99
        assert native.identity != small.identity


def test_many_small_appends_are_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_list, "MAX_CHUNKS", 3)
    bodies = texts(11)
    index = AttentionIndex(encoder_of())
    most = 0
    for n in range(1, len(bodies) + 1):
        index.sync(history_of(bodies[:n]))
        most = max(most, len(index._stored.chunks))
    assert most == 3
    history = history_of(bodies)
    np.testing.assert_allclose(scores(index, history), scores(built(history), history), atol=2e-3)
    index.sync(history_of(bodies[1:], first=1))
    rest = history_of(bodies[1:], first=1)
    np.testing.assert_allclose(scores(index, rest), scores(built(rest), rest), atol=2e-3)


def test_full_chunks_are_not_copied_by_merging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_list, "MAX_CHUNKS", 2)
    monkeypatch.setattr(chunk_list, "RECORDS_A_CHUNK", 4)
    bodies = texts(15)
    index = AttentionIndex(encoder_of())
    index.sync(history_of(bodies[:8]))
    full = index._stored.chunks
    for n in range(9, 16):
        index.sync(history_of(bodies[:n]))
        assert all(any(chunk is kept for kept in index._stored.chunks) for chunk in full)
        assert len(index._stored.chunks) <= 2 + 2 + 1
    history = history_of(bodies)
    np.testing.assert_allclose(scores(index, history), scores(built(history), history), atol=2e-3)


def test_progress_counts_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_list, "RECORDS_A_CHUNK", 4)
    index = AttentionIndex(encoder_of())
    index.sync(history_of(texts(3)))
    said: list[tuple[int, int | None]] = []
    index.sync(history_of(texts(13)), lambda step, done, total: said.append((done, total)))
    assert said == [(i, 10) for i in range(1, 11)]


@pytest.mark.parametrize("stop_at", [1, 5, 9])
def test_ctrl_c_leaves_an_index_that_goes_on_where_it_was(stop_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_list, "RECORDS_A_CHUNK", 4)
    history = history_of(texts(12))
    index = AttentionIndex(encoder_of())

    def stop(step: str, done: int, total: int | None) -> None:
        if done == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index.sync(history, stop)
    kept = (stop_at - 1) // 4 * 4
    change = index.sync(history)
    assert (change.records_added, change.records_dropped) == (12 - kept, 0)
    np.testing.assert_allclose(scores(index, history), scores(built(history), history), atol=2e-3)


def test_scoring_another_history_than_the_one_synced_syncs_it_first() -> None:
    first, second = history_of(texts(6)), history_of(texts(8, seed=3))
    index = built(first)
    got, fed = index.score(second, whole(second), REQUEST)
    np.testing.assert_allclose(got, scores(built(second), second), atol=2e-3)
    assert fed > index.tokens


def test_a_history_that_comes_back_is_laid_out_anew() -> None:
    first, second = history_of(texts(6)), history_of(texts(6)[3:], first=3)
    segments = whole(first)
    index = built(first)
    before, _ = index.score(first, segments, REQUEST)
    index.sync(second)
    index.sync(first)  # its first records now lie behind the others
    np.testing.assert_allclose(index.score(first, segments, REQUEST)[0], before, atol=2e-3)


def test_threads_that_grow_and_read_one_index() -> None:
    bodies = texts(24)
    histories = [history_of(bodies[:n]) for n in (8, 16, 24)]
    expected = [scores(built(history), history) for history in histories]
    index = AttentionIndex(encoder_of())
    wrong: list[int] = []
    start = threading.Barrier(3)

    def work(i: int) -> None:
        start.wait()
        for _ in range(6):
            index.sync(histories[i])
            if not np.allclose(scores(index, histories[i]), expected[i], atol=2e-3):
                wrong.append(i)

    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(work, i) for i in range(3)]:
            done.result()
    assert wrong == []
