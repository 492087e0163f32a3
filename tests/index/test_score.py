from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penchant.history.records import History, Record, Segment
from penchant.index.score import head_scores, lay_out, segment_log_mass, standardise
from penchant.lens.conditional_logit import with_neighbours

SCALING = 0.35


class Case:
    """Stored records in an order of their own, characters of several widths, overlapping and empty segments."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = np.random.default_rng(seed)
        count = int(rng.integers(1, 9))
        self.history = History([Record("x" * int(rng.integers(1, 30)), id=str(i)) for i in range(count)])
        spans = [self._spans(len(record.body)) for record in self.history]
        stored = rng.permutation(count)
        counts = np.array([len(span) for span in spans], dtype=np.int64)
        self.counts = counts
        self.first = np.zeros(count, dtype=np.int64)
        self.first[stored] = np.concatenate([[0], np.cumsum(counts[stored])[:-1]])
        self.spans = np.concatenate([spans[i] for i in stored]).astype(np.int32)
        self.rows = len(self.spans)
        self.segments = self._segments()
        self.pair_of = list(rng.integers(0, 3, size=5))
        self.pair_of = [sorted(set(self.pair_of)).index(pair) for pair in self.pair_of]
        generator = torch.Generator().manual_seed(seed)
        self.keys = torch.randn(max(self.pair_of) + 1, self.rows, 6, generator=generator)
        self.queries = torch.randn(5, 4, 6, generator=generator) * 2

    def _spans(self, length: int) -> np.ndarray:
        """Tokens of a body: most cover some characters, some share one, some cover none; a body may have no tokens."""
        if self.rng.random() < 0.15:
            return np.zeros((0, 2), dtype=np.int32)
        cuts = np.unique(np.concatenate([[0, length], self.rng.integers(0, length + 1, size=length // 2 + 1)]))
        spans = []
        for start, end in pairwise(cuts):
            spans += [(start, end)] * (3 if self.rng.random() < 0.2 else 1)
            if self.rng.random() < 0.1:
                spans.append((end, end))
        return np.array(spans)

    def _segments(self) -> list[Segment]:
        out = []
        for _ in range(int(self.rng.integers(1, 25))):
            record = int(self.rng.integers(0, len(self.history)))
            start, end = sorted(self.rng.integers(0, len(self.history[record].body) + 1, size=2))
            out.append(Segment(record, str(record), int(start), int(end), "x" * int(end - start)))
        return out

    def members(self, segment: Segment) -> list[int]:
        rows = range(self.first[segment.record], self.first[segment.record] + self.counts[segment.record])
        return [row for row in rows if self.spans[row, 1] > segment.start and self.spans[row, 0] < segment.end]

    def dense(self) -> np.ndarray:
        out = np.full((5, 4, len(self.segments)), -np.inf)
        for head, pair in enumerate(self.pair_of):
            logits = SCALING * (self.queries[head].double() @ self.keys[pair].double().T).numpy()
            for j, segment in enumerate(self.segments):
                rows = self.members(segment)
                if rows:
                    out[head, :, j] = np.log(np.exp(logits[:, rows]).sum(axis=1))
        return out

    def blocks(self, size: int):  # type: ignore[no-untyped-def]
        for start in range(0, self.rows, size):
            yield start, self.keys[:, start : start + size]


@given(st.integers(0, 10**6), st.sampled_from([1, 2, 3, 7, 10_000]))
def test_log_mass_is_the_dense_computation(seed: int, size: int) -> None:
    case = Case(seed)
    layout = lay_out(case.history, case.segments, case.first, case.spans, case.counts)
    for j, segment in enumerate(case.segments):
        rows = case.members(segment)
        assert list(range(layout.low[j], layout.high[j])) == rows
    got = segment_log_mass(case.blocks(size), case.queries, case.pair_of, layout, SCALING)
    expected = case.dense()
    assert got.shape == expected.shape
    assert got.dtype == np.float32
    assert np.array_equal(np.isfinite(got), np.isfinite(expected))
    np.testing.assert_allclose(got, expected, atol=2e-4)


@given(st.integers(0, 10**6))
def test_head_scores_are_the_formula_and_always_finite(seed: int) -> None:
    case = Case(seed)
    mass = case.dense().astype(np.float32)
    got = head_scores(mass, 1, 0.6)
    assert got.shape == (5, len(case.segments))
    assert np.isfinite(got).all()
    there = [j for j, segment in enumerate(case.segments) if case.members(segment)]
    if not there:
        assert (got == 0).all()
        return
    share = np.exp(case.dense()[:, :, there])
    share /= share.sum(axis=2, keepdims=True)
    expected = np.log(share[:, :3].mean(axis=1)) - 0.6 * np.log(share[:, 3])
    spread = expected.std(axis=1, keepdims=True)
    expected = (expected - expected.mean(axis=1, keepdims=True)) / np.where(spread > 1e-5, spread, np.inf)
    expected = np.where(expected < 0, 0.1 * expected, expected)  # a tenth of what is below the mean
    np.testing.assert_allclose(got[:, there], expected, atol=0.01)
    empty = [j for j in range(len(case.segments)) if j not in there]
    assert (got[:, empty] == got[:, there].min(axis=1, keepdims=True)).all()


@pytest.mark.parametrize("extreme", [-1e30, -200.0, 0.0, 200.0, 1e30])
def test_head_scores_of_extreme_masses_are_finite(extreme: float) -> None:
    mass = np.zeros((2, 3, 5), dtype=np.float32)
    mass[0, :, 1] = extreme
    mass[1, 1, :] = -np.inf
    mass[:, :, 4] = -np.inf
    with np.errstate(over="raise", invalid="raise"):
        assert np.isfinite(head_scores(mass, 1, 0.6)).all()
    assert np.isfinite(head_scores(np.full((2, 3, 4), -np.inf, dtype=np.float32), 1, 0.6)).all()


def test_a_segment_far_below_the_rest_scores_the_same_in_any_blocks() -> None:
    history = History([Record("ab", id="0"), Record("cd", id="1"), Record("ef", id="2")])
    segments = [Segment(i, str(i), 0, 2, record.body) for i, record in enumerate(history)]
    counts = np.ones(3, dtype=np.int64)
    layout = lay_out(history, segments, np.arange(3), np.array([[0, 2]] * 3, dtype=np.int32), counts)
    keys = torch.tensor([[[0.0], [-75.0], [-74.0]]])
    queries = torch.ones(1, 2, 1)
    for size in (1, 2, 3):
        blocks = ((start, keys[:, start : start + size]) for start in range(0, 3, size))
        mass = segment_log_mass(blocks, queries, [0], layout, 1.0)
        np.testing.assert_allclose(mass[0, 0], [0.0, -75.0, -74.0], atol=1e-3)


def test_equal_records_share_their_rows() -> None:
    history = History([Record("same", id="a"), Record("other one", id="b"), Record("same", id="a")])
    segments = [Segment(i, r.id, 0, len(r.body), r.body) for i, r in enumerate(history)]
    spans = np.array([[0, 2], [2, 4], [0, 5], [5, 9]], dtype=np.int32)
    layout = lay_out(history, segments, np.array([0, 2, 0]), spans, np.array([2, 2, 2]))
    assert (layout.low.tolist(), layout.high.tolist()) == ([0, 2, 0], [2, 4, 2])


def test_standardise() -> None:
    rows = np.array([[1.0, 2.0, 6.0], [5.0, 5.0, 5.0]], dtype=np.float32)
    out = standardise(rows)
    np.testing.assert_allclose(out[0], (rows[0] - 3) / rows[0].std(), rtol=1e-6)
    assert (out[1] == 0).all()
    assert out.dtype == np.float32
    for value in (-27.830001, 0.1, 1e7, -1e-9, 0.0):
        assert (standardise(np.full(1237, value, dtype=np.float32)) == 0).all(), value
    assert standardise(np.zeros((3, 0), dtype=np.float32)).shape == (3, 0)
    assert (standardise(np.array([4.0], dtype=np.float32)) == 0).all()


def test_neighbours() -> None:
    scores = np.array([1.0, 10.0, 100.0], dtype=np.float32)
    np.testing.assert_allclose(with_neighbours(scores, 0.5, 0.1), [2.0, 20.5, 105.0])
    assert scores.tolist() == [1.0, 10.0, 100.0]
    assert with_neighbours(scores[:1], 0.5, 0.1).tolist() == [1.0]
    assert with_neighbours(scores[:0], 0.5, 0.1).shape == (0,)
