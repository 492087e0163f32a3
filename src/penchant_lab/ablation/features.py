"""Scores of every head for a question: one number per segment and readout, for the request and for neutral ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError
from penchant.history.records import History
from penchant.index.score import LEAK, FloatArray, IntArray, standardise
from penchant.lens.calibration import NEUTRAL
from penchant.lens.lens import Lens, Wanted
from penchant.models.tokenization import opening_ids
from penchant_lab.ablation.axes import Readout
from penchant_lab.ablation.passes import Batch, cut, encode

#: A log share below this is negligible.
FLOOR = -80.0
#: Rows of a request that are matched at a time: logits of (heads x rows x tokens) at one layer.
ROWS = 64

Edges = Sequence[tuple[int, int, int]]


@dataclass
class Features:
    """Of one history, one cell: readout -> float32 [heads of all layers, segments], nan where a segment isn't reached.

    relevance: of every question. salience: of the neutral requests. fed: tokens fed for a request, on average.
    """

    relevance: dict[Readout, list[FloatArray]]
    salience: dict[Readout, FloatArray]
    fed: float = 0.0


@dataclass
class Source:
    """A history prepared for all cells of one (priming, encoding): its tokens and their prefix, encoded once."""

    lens: Lens
    prefix: list[int]
    newline: list[int]
    segments: int
    batches: list[Batch] = field(default_factory=list)

    @property
    def edges(self) -> list[tuple[int, int, int]]:
        out, at = [], 0
        for batch in self.batches:
            out += [(segment, at + start, at + end) for segment, start, end in batch.edges]
            at += sum(len(one.ids) for one in batch.passes)
        return out

    @property
    def counts(self) -> IntArray:
        """int64 [segments]: tokens of each that were encoded."""
        counts = np.zeros(self.segments, dtype=np.int64)
        for segment, start, end in self.edges:
            counts[segment] += end - start
        return counts

    @property
    def longest(self) -> int:
        return max(len(one.ids) for batch in self.batches for one in batch.passes)


def make_source(lens: Lens, history: History, queries: Sequence[str], prefix: str, encoding: str) -> Source:
    """Encode a history after a prefix. queries: the later requests, for which space in the window is reserved.

    Raises `InputError` when a query leaves no room.
    """
    loaded = lens.loaded
    start = opening_ids(loaded, prefix)
    bodies = tokens_of(lens, [record.body for record in history])
    newline = tokens_of(lens, ["\n"])[0]
    longest = max(len(ids) for ids in tokens_of(lens, [*queries, *NEUTRAL])) + len(newline)
    room = loaded.window - len(start) - longest
    if room < 1:
        raise InputError(
            f"a request has {longest} tokens, which leaves no room for a history in {loaded.name}'s window of "
            f"{loaded.window}: leave the encodings blocks and joint out"
        )
    source = Source(lens, start, newline, len(bodies))
    source.batches = list(encode(lens, start, cut(bodies, newline, encoding, room), loaded.num_layers - 1))
    return source


def tokens_of(lens: Lens, texts: Sequence[str]) -> list[list[int]]:
    clean = [text.encode("utf-8", "replace").decode() for text in texts]
    ids: list[list[int]] = lens.loaded.tokenizer(clean, add_special_tokens=False, verbose=False)["input_ids"]
    return ids


def alone(
    source: Source,
    queries: Sequence[str],
    readouts: Sequence[Readout],
    *,
    shifted: bool,
    progress: Callable[[], None] = lambda: None,
) -> Features:
    """Requests encoded by themselves behind the prefix, their queries matched with the stored keys, softmax over the
    history. The neutral requests are one mean query, as in the index.

    shifted: the request's positions begin where the longest pass ends, as they would behind it; else at the prefix's
    end, as the records' do.
    """
    lens = source.lens
    keys = [torch.cat([batch.keys(layer) for batch in source.batches], dim=1) for layer in _layers(lens)]
    offset = source.longest if shifted else 0
    neutral = torch.cat([_queries(source, ids, offset) for ids in tokens_of(lens, NEUTRAL)], dim=2)
    mean = neutral.float().mean(dim=2, keepdim=True).to(neutral.dtype)
    salience = _matched(source, keys, mean, readouts)
    relevance: dict[Readout, list[FloatArray]] = {readout: [] for readout in readouts}
    asked = tokens_of(lens, queries)
    for ids in asked:
        matched = _matched(source, keys, _queries(source, ids, offset), readouts)
        for readout in readouts:
            relevance[readout].append(matched[readout])
        progress()
    return Features(relevance, salience, len(source.prefix) + sum(map(len, asked)) / max(1, len(asked)))


def joint(
    source: Source, queries: Sequence[str], readouts: Sequence[Readout], progress: Callable[[], None] = lambda: None
) -> Features:
    """Requests read behind every pass, on a line of their own; attention as the model computes it there, so that what
    the prefix and the request itself get is lost to the history. The neutral requests are read one by one, the mean
    over their rows is taken."""
    lens = source.lens
    sums: dict[Readout, FloatArray] = {}
    for ids in tokens_of(lens, NEUTRAL):
        read = _behind(source, ids, readouts)
        weight = {readout: len(ids) if readout.rows == "mean" else 1 for readout in readouts}
        for readout, values in read.items():
            sums[readout] = sums.get(readout, 0) + values * weight[readout]
    rows = {"mean": sum(len(ids) for ids in tokens_of(lens, NEUTRAL)), "last": len(NEUTRAL)}
    salience = {readout: _log(values / np.float32(rows[readout.rows]), readout) for readout, values in sums.items()}
    relevance: dict[Readout, list[FloatArray]] = {readout: [] for readout in readouts}
    asked = tokens_of(lens, queries)
    for ids in asked:
        for readout, values in _behind(source, ids, readouts).items():
            relevance[readout].append(_log(values, readout))
        progress()
    passes = sum(len(batch.passes) for batch in source.batches)
    length = len(source.newline) + sum(map(len, asked)) / max(1, len(asked))
    return Features(relevance, salience, passes * length)


def scores_of(relevance: FloatArray, salience: FloatArray, baseline: float) -> FloatArray:
    """Standardised scores, as `index.score.head_scores` makes them: [heads, segments]; segments that aren't reached get
    the lowest of the others."""
    reached = np.isfinite(relevance).all(axis=0)
    out = np.zeros(relevance.shape, dtype=np.float32)
    scores = standardise(relevance[:, reached] - baseline * salience[:, reached])
    out[:, reached] = np.maximum(scores, LEAK * scores)
    out[:, ~reached] = out[:, reached].min(axis=1, keepdims=True)
    return out


def _layers(lens: Lens) -> range:
    return range(lens.loaded.num_layers)


def _queries(source: Source, ids: Sequence[int], offset: int) -> Float[Tensor, "layers heads rows dim"]:
    lens, start = source.lens, len(source.prefix)
    positions = torch.cat([torch.arange(start), torch.arange(len(ids)) + start + offset])
    wanted = Wanted(queries=frozenset(_layers(lens)))
    read = lens.read(torch.tensor([[*source.prefix, *ids]]), wanted, positions=positions[None])
    return torch.stack([read.queries[layer][0, :, start:] for layer in _layers(lens)])


def _matched(
    source: Source, keys: Sequence[Tensor], queries: Float[Tensor, "layers heads rows dim"], readouts: Sequence[Readout]
) -> dict[Readout, FloatArray]:
    edges = source.edges
    outside = torch.ones(keys[0].shape[1], dtype=torch.bool, device=keys[0].device)
    for _, start, end in edges:
        outside[start:end] = False  # line breaks between records belong to no record
    totals = []
    for layer, stored in enumerate(keys):
        scaling = source.lens.scaling[layer]
        heads, rows, dim = queries[layer].shape
        parts = []
        for at in range(0, rows, ROWS):
            grouped = queries[layer][:, at : at + ROWS].reshape(len(stored), -1, dim)
            logits = (grouped.to(stored.dtype) @ stored.transpose(1, 2)).float().mul_(scaling)
            logits = logits.reshape(heads, -1, stored.shape[1]).masked_fill_(outside, -torch.inf)
            parts.append(Totals(heads, logits.shape[1], source.segments, readouts))
            parts[-1].add(logits.log_softmax(-1).cpu(), edges)
        totals.append(parts)
    counts = source.counts
    return {
        readout: np.concatenate(
            [_rows([part.finished(readout, counts) for part in parts], readout) for parts in totals]
        )
        for readout in readouts
    }


def _behind(source: Source, ids: Sequence[int], readouts: Sequence[Readout]) -> dict[Readout, FloatArray]:
    """Before the log: so that the mean over several requests can be taken."""
    lens, skipped = source.lens, len(source.newline)
    wanted = Wanted(row_layers=frozenset(_layers(lens)), rows=tuple(range(skipped, skipped + len(ids))))
    totals = [Totals(lens.loaded.num_heads, len(ids), source.segments, readouts) for _ in _layers(lens)]
    for batch in source.batches:
        reading = batch.read([*source.newline, *ids], wanted)
        for layer, total in enumerate(totals):
            shares = batch.own(reading.rows[layer]).cpu()
            total.add(shares.clamp_min_(torch.finfo(torch.float32).tiny).log_(), batch.edges)
    counts = source.counts
    return {
        readout: np.concatenate([_over_rows(total.finished(readout, counts), readout) for total in totals])
        for readout in readouts
    }


class Totals:
    """Sums over the tokens of each segment, [heads, rows, segments], accumulated over parts of a history."""

    def __init__(self, heads: int, rows: int, segments: int, readouts: Iterable[Readout]) -> None:
        kinds = {"sum" if readout.readout == "mean" else readout.readout for readout in readouts}
        self.values = {kind: np.zeros((heads, rows, segments), dtype=np.float32) for kind in kinds}

    def add(self, log_shares: Float[Tensor, "heads rows tokens"], edges: Edges) -> None:
        """log_shares: of these tokens, changed in place. edges: (segment, start, end) of pieces in them, ascending."""
        some = [(segment, start, end) for segment, start, end in edges if end > start]
        if not some:
            return
        segments = [segment for segment, _, _ in some]
        cuts = [edge for _, start, end in some for edge in (start, end)]
        if cuts[-1] == log_shares.shape[2]:
            del cuts[-1]  # the last piece goes to the end anyway
        logs = log_shares.clamp_min_(FLOOR)
        shares = logs.exp().numpy()
        for kind, total in self.values.items():
            reduce, values = (np.maximum, shares) if kind == "max" else (np.add, shares)
            if kind == "log-mean":
                values = logs.numpy()
            found = reduce.reduceat(values, cuts, axis=2)[:, :, ::2]
            if len(set(segments)) == len(segments):
                total[:, :, segments] = reduce(total[:, :, segments], found)
            else:
                for i, segment in enumerate(segments):
                    total[:, :, segment] = reduce(total[:, :, segment], found[:, :, i])

    def finished(self, readout: Readout, counts: IntArray) -> FloatArray:
        """counts: int64 [segments], tokens of each that were added; one without is nan."""
        total = self.values["sum" if readout.readout == "mean" else readout.readout].copy()
        if readout.readout in ("mean", "log-mean"):
            total /= np.maximum(counts, 1).astype(np.float32)
        total[:, :, counts == 0] = np.nan
        return total


def _rows(parts: Sequence[FloatArray], readout: Readout) -> FloatArray:
    return _log(_over_rows(np.concatenate(parts, axis=1), readout), readout)


def _over_rows(values: FloatArray, readout: Readout) -> FloatArray:
    """[heads, rows, segments] to [heads, segments]."""
    one: FloatArray = values.mean(axis=1) if readout.rows == "mean" else values[:, -1]
    return one


def _log(values: FloatArray, readout: Readout) -> FloatArray:
    if readout.readout == "log-mean":
        return np.asarray(values, dtype=np.float32)
    out: FloatArray = np.log(np.maximum(values, np.exp(np.float32(FLOOR)))).astype(np.float32)
    return out
