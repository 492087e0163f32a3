"""The stored rows of a history: chunks of rows, with the records they belong to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from penchant.history.records import History, Record
from penchant.index.encode import EncodedRecord

Storage = Literal["native", "int8"]
RecordKey = tuple[str, str]


def record_key(record: Record) -> RecordKey:
    """Return the key of a stored record: its id, and a digest of the encoded text."""
    return record.id, hashlib.sha256(record.body.encode("utf-8", "surrogatepass")).hexdigest()


class RecordKeys:
    """Computes the keys of a history's records; if it has grown at its end, only new records are hashed."""

    def __init__(self) -> None:
        self._known: tuple[tuple[Record, ...], tuple[RecordKey, ...]] = ((), ())

    def of(self, history: History) -> tuple[RecordKey, ...]:
        records, keys = self._known
        if history.records is not records:
            same = len(records) if history.records[: len(records)] == records else 0
            keys = (*keys[:same], *(record_key(record) for record in history.records[same:]))
            self._known = history.records, keys
        return keys


@dataclass(frozen=True)
class Chunk:
    """Rows of some records. keys: [pairs, rows, head_dim] in the model's dtype, or int8 with `scale` [pairs, rows] in
    that dtype. (Sentence vectors: float32 [1, rows, width].)

    spans: int32 [rows, 2], character offsets into the record's body. records: key and number of rows of each record, in
    the order of the rows. tokens: int32 [rows], if a row isn't one token.
    """

    keys: Tensor
    scale: Tensor | None
    spans: npt.NDArray[np.int32]
    records: tuple[tuple[RecordKey, int], ...]
    tokens: npt.NDArray[np.int32] | None = None

    @property
    def rows(self) -> int:
        return self.keys.shape[1]

    @property
    def nbytes(self) -> int:
        scale = 0 if self.scale is None else self.scale.nbytes
        tokens = 0 if self.tokens is None else self.tokens.nbytes
        return self.keys.nbytes + scale + self.spans.nbytes + tokens

    def block(self, start: int, stop: int) -> Float[Tensor, "pairs tokens dim"]:
        keys = self.keys[:, start:stop]
        if self.scale is None:
            return keys
        return keys.to(self.scale.dtype).mul_(self.scale[:, start:stop, None])


def make_chunk(encoded: Sequence[tuple[RecordKey, EncodedRecord]], storage: Storage) -> Chunk:
    """Concatenate encoded records; int8: symmetric, one scale per row and pair."""
    keys = torch.cat([record.keys for _, record in encoded], dim=1).cpu().contiguous()
    spans = np.concatenate([record.spans for _, record in encoded])
    records = tuple((key, len(record.spans)) for key, record in encoded)
    if storage == "native":
        return Chunk(keys, None, spans, records)
    # The scale is in the model's dtype, for a fast product, and is rounded first, so that quantization uses the stored
    # scale.
    scale = (keys.float().abs().amax(-1).clamp_min(1e-6) / 127).to(keys.dtype)
    steps = (keys.float() / scale.float()[..., None]).round_().clamp_(-127, 127)
    return Chunk(steps.to(torch.int8), scale, spans, records)


def keep_records(chunk: Chunk, kept: frozenset[RecordKey]) -> Chunk | None:
    """Return the chunk with only the rows of these records; None if nothing is left."""
    records = tuple((key, rows) for key, rows in chunk.records if key in kept)
    if not records:
        return None
    mask = np.repeat([key in kept for key, _ in chunk.records], [rows for _, rows in chunk.records])
    rows = torch.from_numpy(mask)
    scale = None if chunk.scale is None else chunk.scale[:, rows]
    tokens = None if chunk.tokens is None else chunk.tokens[mask]
    return Chunk(chunk.keys[:, rows], scale, chunk.spans[mask], records, tokens)


def merge_chunks(chunks: Sequence[Chunk]) -> Chunk:
    """Merge several chunks of one index."""
    scales = [chunk.scale for chunk in chunks if chunk.scale is not None]
    tokens = [chunk.tokens for chunk in chunks if chunk.tokens is not None]
    return Chunk(
        torch.cat([chunk.keys for chunk in chunks], dim=1),
        torch.cat(scales, dim=1) if scales else None,
        np.concatenate([chunk.spans for chunk in chunks]),
        tuple(record for chunk in chunks for record in chunk.records),
        np.concatenate(tokens) if tokens else None,
    )


def blocks(chunks: Sequence[Chunk], size: int) -> Iterator[tuple[int, Float[Tensor, "pairs tokens dim"]]]:
    """Yield rows in order, at most `size` at a time, with the row at which each block starts."""
    first = 0
    for chunk in chunks:
        for start in range(0, chunk.rows, size):
            yield first + start, chunk.block(start, min(start + size, chunk.rows))
        first += chunk.rows
