"""Cuts a history into forward passes and encodes it: determines which other records each record sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers.cache_utils import DynamicLayer

from penchant.errors import InputError
from penchant.inference.batching import length_batches, pad_right
from penchant.inference.kv_cache import Checkpoint, growing_cache
from penchant.lens.lens import Lens, Reading, Wanted

#: Tokens of a record that are encoded together, of a block, and of one forward pass of a batch.
RECORD, BLOCK, BATCH_TOKENS = 256, 1500, 1024
#: Tokens fed at a time into a long pass, so that its mask stays small.
STEP = 512


@dataclass(frozen=True)
class Pass:
    """ids: tokens without the prefix. pieces: (segment, start, end) of the segments' tokens in it, in order."""

    ids: tuple[int, ...]
    pieces: tuple[tuple[int, int, int], ...]


def cut(bodies: Sequence[Sequence[int]], newline: Sequence[int], encoding: str, room: int) -> list[Pass]:
    """The passes of a history whose records have these tokens.

    "record": each alone (longer ones than RECORD tokens in pieces). "blocks": one a line, up to BLOCK tokens. "joint":
    one a line, the newest that fit in `room` tokens. No pass is longer than `room`.
    """
    if encoding == "joint":
        used, first = 0, len(bodies)
        while first and used + len(bodies[first - 1]) + len(newline) <= room:
            first -= 1
            used += len(bodies[first]) + len(newline)
        if first == len(bodies):
            raise InputError(f"the newest record has more tokens than the {room} that fit the window: cut it")
        return [_lines(bodies, range(first, len(bodies)), newline)]
    most = min(RECORD if encoding == "record" else BLOCK, room)
    passes: list[Pass] = []
    line: list[int] = []
    for i, tokens in enumerate(bodies):
        alone = encoding == "record" or len(tokens) + len(newline) > most
        if line and (alone or sum(len(bodies[j]) + len(newline) for j in (*line, i)) > most):
            passes.append(_lines(bodies, line, newline))
            line = []
        if alone:
            parts = [tuple(tokens[at : at + most]) for at in range(0, len(tokens), most)]
            passes += [Pass(part, ((i, 0, len(part)),)) for part in parts]
        else:
            line.append(i)
    return [*passes, _lines(bodies, line, newline)] if line else passes


def _lines(bodies: Sequence[Sequence[int]], chosen: Sequence[int], newline: Sequence[int]) -> Pass:
    ids: list[int] = []
    pieces = []
    for i in chosen:
        pieces.append((i, len(ids), len(ids) + len(bodies[i])))
        ids += [*bodies[i], *newline]
    return Pass(tuple(ids), tuple(pieces))


class Batch:
    """Passes encoded together behind a prefix, padded on the right, at every layer up to the last one asked for."""

    def __init__(self, lens: Lens, prefix: Sequence[int], passes: Sequence[Pass], last_layer: int) -> None:
        self.lens, self.prefix, self.passes = lens, len(prefix), tuple(passes)
        self.lengths = torch.tensor([len(prefix) + len(one.ids) for one in passes])
        self.size = int(self.lengths.max())
        padded = pad_right([[*prefix, *one.ids] for one in passes])
        ids, self._there = padded.ids, padded.there
        self._cache = growing_cache(lens.loaded.model)
        wanted = Wanted(keys=frozenset({last_layer}))
        for start in range(0, self.size, STEP):
            # Padding stands behind every real token of its row, where a causal model can't see it.
            lens.read(ids[:, start : start + STEP], wanted, cache=self._cache)
        self._encoded = Checkpoint(self._cache)

    @property
    def fed(self) -> int:
        return len(self.passes) * self.size

    def keys(self, layer: int) -> Float[Tensor, "kv_heads tokens dim"]:
        """The keys of all passes' own tokens, one pass after the other."""
        cached = self._cache.layers[layer]
        assert isinstance(cached, DynamicLayer) and cached.keys is not None
        rows = [cached.keys[i, :, self.prefix : length] for i, length in enumerate(self.lengths.tolist())]
        return torch.cat(rows, dim=1)

    def read(self, ids: Sequence[int], wanted: Wanted) -> Reading:
        """Read the same tokens behind every pass; the batch stays as it was."""
        new = torch.tensor(list(ids)).expand(len(self.passes), -1)
        seen = torch.cat([self._there, torch.ones_like(new, dtype=torch.bool)], dim=1)
        try:
            return self.lens.read(new, wanted, seen=seen, cache=self._cache)
        finally:
            self._encoded.restore()

    def own(self, rows: Float[Tensor, "batch heads rows context"]) -> Float[Tensor, "heads rows tokens"]:
        """Of what a read saw: the passes' own tokens, one pass after the other, as `keys` has them."""
        parts = [rows[i, :, :, self.prefix : length] for i, length in enumerate(self.lengths.tolist())]
        return torch.cat(parts, dim=2)

    @property
    def edges(self) -> list[tuple[int, int, int]]:
        """(segment, start, end) of every piece in the tokens that `keys` and `own` give."""
        out, at = [], 0
        for one in self.passes:
            out += [(segment, at + start, at + end) for segment, start, end in one.pieces]
            at += len(one.ids)
        return out


def encode(lens: Lens, prefix: Sequence[int], passes: Sequence[Pass], last_layer: int) -> Iterator[Batch]:
    """All passes, shortest first, in batches of at most BATCH_TOKENS (a longer pass alone).

    A sliding window counts padding as tokens, so models that have one get passes of one length together.
    """
    kinds = getattr(lens.loaded.model.config.get_text_config(), "layer_types", None) or []
    sliding = any(kind != "full_attention" for kind in kinds)
    lengths = [len(prefix) + len(one.ids) for one in passes]
    for batch in length_batches(lengths, tokens=BATCH_TOKENS, equal=sliding):
        yield Batch(lens, prefix, [passes[i] for i in batch], last_layer)
