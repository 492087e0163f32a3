"""What heads make of a question, against the attention index and against plain forward passes."""

import numpy as np
import pytest
import torch

from penchant.errors import InputError
from penchant.history.records import History, Record
from penchant.history.segmentation import segment
from penchant.index.attention import AttentionIndex
from penchant.index.encode import Encoder
from penchant.lens.calibration import NEUTRAL, Calibration
from penchant.lens.lens import Lens, Wanted
from penchant_lab.ablation.axes import Readout
from penchant_lab.ablation.features import FLOOR, Source, Totals, alone, joint, make_source, scores_of, tokens_of
from penchant_lab.ablation.passes import Pass, cut
from tests.index.cases import lens_of, texts

pytestmark = pytest.mark.slow

PREFIX = "The notes: "
QUERIES = ["What should I read by the sea?", "Who is allergic?"]
EVERY = [Readout(kind, rows) for kind in ("sum", "mean", "max", "log-mean") for rows in ("mean", "last")]
HISTORY = History([Record(text) for text in texts(9)])


def _all_heads(lens: Lens) -> tuple[tuple[int, int], ...]:
    return tuple((layer, head) for layer in range(lens.loaded.num_layers) for head in range(lens.loaded.num_heads))


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt_neox"])
def test_the_default_is_the_attention_index(family: str) -> None:
    lens = lens_of(family)
    heads = _all_heads(lens)
    loaded = lens.loaded
    calibration = Calibration(loaded.name, loaded.fingerprint, heads, (1.0,) * len(heads), prefix=PREFIX)
    index = AttentionIndex(Encoder(lens, calibration))
    index.sync(HISTORY)
    source = make_source(lens, HISTORY, QUERIES, PREFIX, "record")
    found = alone(source, QUERIES, [EVERY[0]], shifted=False)
    for query, relevance in zip(QUERIES, found.relevance[EVERY[0]], strict=True):
        expected = index.head_scores(HISTORY, segment(HISTORY, "record"), query)
        scores = scores_of(relevance, found.salience[EVERY[0]], calibration.baseline)
        np.testing.assert_allclose(scores, expected, atol=2e-3)
    lengths = [len(ids) for ids in tokens_of(lens, QUERIES)]
    assert found.fed == len(tokens_of(lens, [PREFIX])[0]) + sum(lengths) / 2


def _plain(source: Source, query: str, encoding: str) -> list[np.ndarray]:
    """[heads of all layers, rows, tokens of the record] of every record: one pass after the other, nothing cached."""
    lens = source.lens
    bodies = tokens_of(lens, [record.body for record in HISTORY])
    ids = tokens_of(lens, [query])[0]
    out: list[np.ndarray] = [np.empty(0)] * len(bodies)
    for one in cut(bodies, source.newline, encoding, 512 - 100):
        whole = [*source.prefix, *one.ids, *source.newline, *ids]
        rows = tuple(range(len(whole) - len(ids), len(whole)))
        wanted = Wanted(row_layers=frozenset(range(lens.loaded.num_layers)), rows=rows)
        read = lens.read(torch.tensor([whole]), wanted).rows
        shares = torch.cat([read[layer][0] for layer in sorted(read)])[:, :, len(source.prefix) :].numpy()
        for segment_, start, end in one.pieces:
            out[segment_] = shares[:, :, start:end]
    return out


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt_neox"])
@pytest.mark.parametrize("encoding", ["record", "blocks"])
def test_a_request_behind_what_it_reads(family: str, encoding: str) -> None:
    source = make_source(lens_of(family), HISTORY, QUERIES, PREFIX, encoding)
    found = joint(source, QUERIES, EVERY)
    floor = np.exp(np.float32(FLOOR))
    for i, query in enumerate(QUERIES):
        plain = [np.maximum(shares, floor) for shares in _plain(source, query, encoding)]
        expected = {
            "sum": [np.log(shares.sum(2).mean(1)) for shares in plain],
            "mean": [np.log(shares.mean(2).mean(1)) for shares in plain],
            "max": [np.log(shares.max(2).mean(1)) for shares in plain],
            "log-mean": [np.log(shares).mean((1, 2)) for shares in plain],
        }
        for kind, values in expected.items():
            relevance = found.relevance[Readout(kind, "mean")][i]
            np.testing.assert_allclose(relevance, np.stack(values, axis=1), atol=2e-3, rtol=1e-3)
        last = np.stack([np.log(shares[:, -1].sum(1)) for shares in plain], axis=1)
        np.testing.assert_allclose(found.relevance[Readout("sum", "last")][i], last, atol=2e-3, rtol=1e-3)
    neutral = [[np.maximum(one, floor) for one in _plain(source, query, encoding)] for query in NEUTRAL]
    for segment_ in range(len(HISTORY)):
        rows = np.concatenate([one[segment_].sum(2) for one in neutral], axis=1)
        salience = found.salience[Readout("sum", "mean")][:, segment_]
        np.testing.assert_allclose(salience, np.log(rows.mean(1)), atol=2e-3, rtol=1e-3)
    assert found.fed == len(cut(tokens_of(source.lens, [r.body for r in HISTORY]), [0], encoding, 400)) * (
        len(source.newline) + np.mean([len(ids) for ids in tokens_of(source.lens, QUERIES)])
    )


def test_a_request_alone_is_placed_behind_the_longest_pass() -> None:
    lens = lens_of()
    source = make_source(lens, HISTORY, QUERIES, PREFIX, "blocks")
    (ids,) = tokens_of(lens, QUERIES[:1])
    start = len(source.prefix)
    positions = [*range(start), *range(start + source.longest, start + source.longest + len(ids))]
    read = lens.read(
        torch.tensor([[*source.prefix, *ids]]), Wanted(queries=frozenset({2})), positions=torch.tensor([positions])
    )
    keys = torch.cat([batch.keys(2) for batch in source.batches], dim=1)
    query, key = read.queries[2][0, 3, start:].float(), keys[3 // 2].float()
    inside = torch.zeros(key.shape[0], dtype=torch.bool)
    for _, low, high in source.edges:
        inside[low:high] = True
    shares = (query @ key.T * key.shape[1] ** -0.5).masked_fill(~inside, -torch.inf).softmax(-1)
    assert not inside.all()  # the line breaks
    found = alone(source, QUERIES[:1], [Readout("sum", "mean")], shifted=True).relevance[Readout("sum", "mean")][0]
    expected = [shares[:, low:high].sum(1).mean().log().item() for _, low, high in sorted(source.edges)]
    np.testing.assert_allclose(found[2 * 4 + 3], expected, atol=1e-3)
    unmoved = alone(source, QUERIES[:1], [Readout("sum", "mean")], shifted=False).relevance[Readout("sum", "mean")][0]
    assert not np.allclose(unmoved[2 * 4 + 3], expected, atol=1e-3)


def test_what_the_window_cuts_off_gets_the_lowest_score() -> None:
    long = History([Record(text) for text in texts(60, longest=30)])
    source = make_source(lens_of(), long, QUERIES, PREFIX, "joint")
    found = alone(source, QUERIES, EVERY, shifted=True)
    reached = np.flatnonzero(source.counts)
    assert 0 < len(reached) < 60
    assert reached[-1] == 59  # the newest are kept
    for readout in EVERY:
        relevance = found.relevance[readout][0]
        assert (np.flatnonzero(np.isfinite(relevance[0])) == reached).all()
        scores = scores_of(relevance, found.salience[readout], 1.0)
        assert np.isfinite(scores).all()
        assert (scores[:, : reached[0]] == scores.min(axis=1, keepdims=True)).all()


def test_a_segment_in_several_pieces_adds_up() -> None:
    kinds = [Readout(kind, "mean") for kind in ("sum", "mean", "max", "log-mean")]
    logs = torch.log(torch.tensor([[[0.1, 0.2, 0.3, 0.4]]]))
    totals = Totals(1, 1, 3, kinds)
    totals.add(logs.clone(), [(1, 0, 1), (0, 1, 2), (1, 2, 3)])
    totals.add(logs[:, :, 3:].clone(), [(1, 0, 1), (2, 1, 1)])
    counts = np.array([1, 3, 0])
    values = {kind.readout: totals.finished(kind, counts)[0, 0] for kind in kinds}
    np.testing.assert_allclose(values["sum"], [0.2, 0.8, np.nan], rtol=1e-5)
    np.testing.assert_allclose(values["mean"], [0.2, 0.8 / 3, np.nan], rtol=1e-5)
    np.testing.assert_allclose(values["max"], [0.2, 0.4, np.nan], rtol=1e-5)
    np.testing.assert_allclose(values["log-mean"], [np.log(0.2), np.log([0.1, 0.3, 0.4]).mean(), np.nan], rtol=1e-5)


def test_passes() -> None:
    bodies = [[1] * 5, [2] * 5, [], [3] * 700, [4] * 3]
    alone_, long = cut(bodies, [9], "record", 1000)[:2], cut(bodies, [9], "record", 1000)[2:5]
    assert alone_ == [Pass((1,) * 5, ((0, 0, 5),)), Pass((2,) * 5, ((1, 0, 5),))]
    assert [len(one.ids) for one in long] == [256, 256, 188]
    assert {one.pieces[0][0] for one in long} == {3}
    blocks = cut(bodies, [9], "blocks", 704)
    assert [[piece[0] for piece in one.pieces] for one in blocks] == [[0, 1, 2], [3], [4]]
    assert blocks[0] == Pass((1, 1, 1, 1, 1, 9, 2, 2, 2, 2, 2, 9, 9), ((0, 0, 5), (1, 6, 11), (2, 12, 12)))
    (newest,) = cut(bodies, [9], "joint", 705)
    assert newest.pieces == ((3, 0, 700), (4, 701, 704))
    with pytest.raises(InputError, match="more tokens than the 3"):
        cut(bodies, [9], "joint", 3)


def test_a_request_as_long_as_the_window() -> None:
    with pytest.raises(InputError, match="leaves no room"):
        make_source(lens_of(), HISTORY, ["sea " * 600], PREFIX, "blocks")
