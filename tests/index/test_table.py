import numpy as np
import pytest
import torch

from penchant.history.records import Record
from penchant.index.encode import EncodedRecord
from penchant.index.table import Chunk, Storage, blocks, keep_records, make_chunk, merge_chunks, record_key


def encoded(rows: int, seed: int, dtype: torch.dtype = torch.float32) -> EncodedRecord:
    keys = torch.randn(3, rows, 8, generator=torch.Generator().manual_seed(seed)).to(dtype)
    return EncodedRecord(keys, np.stack([np.arange(rows), np.arange(rows) + 1], axis=1).astype(np.int32) + seed)


def chunk_of(rows: list[int], storage: Storage = "native", first: int = 0) -> Chunk:
    return make_chunk([((f"r{first + i}", "d"), encoded(n, first + i)) for i, n in enumerate(rows)], storage)


def test_a_key_is_id_and_text() -> None:
    made = record_key(Record("a", id="1"))
    assert made == record_key(Record("a", id="1", label=5, kind="other"))
    assert made != record_key(Record("b", id="1"))
    assert made != record_key(Record("a", id="2"))
    assert made != record_key(Record("a", id="1", reply="b"))
    assert record_key(Record("half \ud83d", id="1")) != record_key(Record("half ?", id="1"))


def test_native_keys_are_kept_to_the_bit() -> None:
    parts = [(("a", "d"), encoded(4, 0, torch.bfloat16)), (("b", "d"), encoded(0, 1, torch.bfloat16))]
    chunk = make_chunk(parts, "native")
    assert chunk.keys.dtype == torch.bfloat16
    assert torch.equal(chunk.keys, encoded(4, 0, torch.bfloat16).keys)
    assert chunk.records == ((("a", "d"), 4), (("b", "d"), 0))
    assert chunk.nbytes == 3 * 4 * 8 * 2 + 4 * 2 * 4


def test_int8_is_within_half_a_step_of_each_row() -> None:
    chunk = chunk_of([5, 2], "int8")
    exact = chunk_of([5, 2]).keys
    assert chunk.keys.dtype == torch.int8
    assert chunk.scale is not None
    assert chunk.scale.shape == (3, 7)
    step = exact.abs().amax(-1, keepdim=True) / 127
    assert ((chunk.block(0, 7) - exact).abs() <= step / 2 * 1.001).all()
    assert torch.equal(chunk.block(2, 5), chunk.block(0, 7)[:, 2:5])
    assert chunk.nbytes == 3 * 7 * 8 + 3 * 7 * 4 + 7 * 2 * 4


def test_int8_of_nothing_but_zeros() -> None:
    zeros = EncodedRecord(torch.zeros(1, 2, 8), np.zeros((2, 2), dtype=np.int32))
    assert (make_chunk([(("a", "d"), zeros)], "int8").block(0, 2) == 0).all()


@pytest.mark.parametrize("storage", ["native", "int8"])
def test_keeping_some_records_keeps_exactly_their_rows(storage: Storage) -> None:
    chunk = chunk_of([3, 0, 2, 4], storage)
    kept = keep_records(chunk, frozenset({("r0", "d"), ("r3", "d"), ("elsewhere", "d")}))
    assert kept is not None
    assert kept.records == ((("r0", "d"), 3), (("r3", "d"), 4))
    for part, rows, first in ((kept.block(0, 3), 3, 0), (kept.block(3, 7), 4, 5)):
        assert torch.equal(part, chunk.block(first, first + rows))
    assert kept.spans.tolist() == chunk.spans[[0, 1, 2, 5, 6, 7, 8]].tolist()
    assert keep_records(chunk, frozenset()) is None


@pytest.mark.parametrize("storage", ["native", "int8"])
def test_merging_is_concatenating(storage: Storage) -> None:
    parts = [chunk_of([3, 0], storage), chunk_of([2], storage, first=2), chunk_of([4, 1], storage, first=3)]
    merged = merge_chunks(parts)
    assert merged.rows == 10
    assert [key[0] for key, _ in merged.records] == ["r0", "r1", "r2", "r3", "r4"]
    for size in (1, 2, 4, 100):
        assert torch.equal(torch.cat([b for _, b in blocks(parts, size)], dim=1), merged.block(0, 10))
        starts = [first for first, _ in blocks(parts, size)]
        lengths = [block.shape[1] for _, block in blocks(parts, size)]
        assert starts == [0, *np.cumsum(lengths)[:-1]]
        assert max(lengths) <= size
    assert merged.spans.tolist() == [span for part in parts for span in part.spans.tolist()]
