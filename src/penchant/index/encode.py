"""Encodes records and requests, each alone after the same prefix at the same positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import BatchEncoding

from penchant.errors import InputError, ModelError
from penchant.inference.batching import length_batches, pad_right
from penchant.lens.calibration import Calibration
from penchant.lens.lens import Lens, Reading, Wanted
from penchant.models.tokenization import opening_ids

#: A longer record is split into blocks of this many tokens, each with the OVERLAP tokens before it as context.
BLOCK = 256
OVERLAP = 32
#: Tokens per forward pass, prefix and padding included. Larger batches exceed the processor's cache and pad short
#: histories more (measured on 2,000 to 26,000 tokens: 4096 is 20 to 50 % slower than this).
BATCH_TOKENS = 1024


@dataclass(frozen=True)
class EncodedRecord:
    """An encoded record. keys: [pairs, tokens, head_dim]; spans: int32 [tokens, 2], character offsets into its body."""

    keys: Float[Tensor, "pairs tokens dim"]
    spans: npt.NDArray[np.int32]


@dataclass(frozen=True)
class Pass:
    """A forward pass. records: those that it finished, with their positions. tokens: how many it read."""

    records: Sequence[tuple[int, EncodedRecord]]
    tokens: int


@dataclass(frozen=True)
class Encoder:
    """Encodes text for one model and calibration.

    pairs: the (layer, key head) pairs whose keys are stored, sorted; `pair_of` gives the pair of each calibrated head.
    """

    lens: Lens
    calibration: Calibration
    _neutral: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)
    _held: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        return sorted(set(self._pairs_of_heads()))

    @property
    def pair_of(self) -> list[int]:
        return [self.pairs.index(pair) for pair in self._pairs_of_heads()]

    def _pairs_of_heads(self) -> list[tuple[int, int]]:
        layers = self.lens.layers
        return [(layer, head * layers[layer].kv_heads // layers[layer].heads) for layer, head in self.calibration.heads]

    @cached_property
    def width(self) -> int:
        """The width of stored keys: the largest of the calibrated layers; zeros fill up narrower ones."""
        return max(self.lens.layers[layer].width for layer, _ in self.pairs)

    def records(self, bodies: Sequence[str]) -> Iterator[tuple[int, EncodedRecord]]:
        """Yield (position in `bodies`, encoded record), batch by batch in order of length.

        A record longer than BLOCK tokens is split with OVERLAP; every token is stored once, from the block in which
        it has more context. A body without tokens yields zero rows.
        """
        for done in self.passes(bodies, BATCH_TOKENS):
            yield from done.records

    def passes(self, bodies: Sequence[str], size: int) -> Iterator[Pass]:
        """Do the same in forward passes of at most `size` tokens (or one block); yields after each one."""
        ids, spans = self._tokenize(bodies)
        blocks = [(record, start) for record, tokens in enumerate(ids) for start in _block_starts(len(tokens))]
        left = np.bincount([record for record, _ in blocks], minlength=len(bodies))
        parts: dict[int, dict[int, Tensor]] = {}
        lengths = [min(len(ids[record]) - start, BLOCK) for record, start in blocks]
        wanted = Wanted(keys=frozenset(layer for layer, _ in self.pairs))
        for batch in self._batches(lengths, size):
            tokens = [ids[blocks[i][0]][blocks[i][1] : blocks[i][1] + BLOCK] for i in batch]
            finished = []
            for i, keys in zip(batch, self._forward(tokens, wanted), strict=True):
                record, start = blocks[i]
                parts.setdefault(record, {})[start] = keys if start == 0 else keys[:, OVERLAP:]
                left[record] -= 1
                if left[record] == 0:
                    done = parts.pop(record)
                    whole = torch.cat([done[at] for at in sorted(done)], dim=1)
                    finished.append((record, EncodedRecord(whole, spans[record])))
            yield Pass(finished, sum(lengths[i] for i in batch))
        empty = torch.zeros(len(self.pairs), 0, self.width, dtype=self.lens.loaded.dtype)
        yield Pass([(record, EncodedRecord(empty, spans[record])) for record in range(len(ids)) if not ids[record]], 0)

    def requests(self, texts: Sequence[str]) -> list[Float[Tensor, "heads rows dim"]]:
        """Return the queries of every request's own tokens at the calibrated heads, in the order of
        `calibration.heads`.

        Raises `InputError` for a request that doesn't fit the model's window.
        """
        known = [one for text in texts if (one := self._held.get(text)) is not None]
        if len(known) == len(texts):
            return known
        prefix = len(self._prefix())
        ids, _ = self._tokenize(texts)
        heads = self.calibration.heads
        wanted = Wanted(queries=frozenset(layer for layer, _ in heads))
        window = self.lens.loaded.window
        for tokens in ids:
            if not tokens or prefix + len(tokens) > window:
                raise InputError(
                    f"the request has {len(tokens)} tokens: expected 1 to {window - prefix} for "
                    f"{self.lens.loaded.name}; shorten it and put long material into the history"
                )
        out: dict[int, Tensor] = {}
        for batch in self._batches([len(tokens) for tokens in ids]):
            reading = self._read([ids[i] for i in batch], wanted)
            stacked = self._stacked([self._scaled(layer, reading.queries[layer][:, head]) for layer, head in heads])
            for row, i in enumerate(batch):
                out[i] = stacked[row, :, prefix : prefix + len(ids[i])].cpu()
        return [out[i] for i in range(len(texts))]

    @contextmanager
    def holding(self, texts: Sequence[str]) -> Iterator[None]:
        """Read many requests in shared passes, and hold what was read for `requests` while the context is open. Raises
        as `requests`.
        """
        unique = list(dict.fromkeys(texts))
        self._held.update(zip(unique, self.requests(unique), strict=True))
        try:
            yield
        finally:
            for text in unique:
                self._held.pop(text, None)

    @property
    def neutral_query(self) -> Float[Tensor, "heads 1 dim"]:
        """Return the mean query over all rows of the neutral requests: a single row works as well as all of them
        (measured).
        """
        model = self.lens.loaded.fingerprint
        if model not in self._neutral:
            rows = torch.cat(self.requests(self.calibration.neutral), dim=1)
            self._neutral[model] = rows.float().mean(dim=1, keepdim=True).to(rows.dtype)
        return self._neutral[model]

    @cached_property
    def scaling(self) -> float:
        """Return the factor that multiplies query . key, with queries as `requests` gives them: the model's at its last
        calibrated layer.
        """
        return self.lens.scaling[self.calibration.last_layer]

    def _scaled(self, layer: int, query: Tensor) -> Tensor:
        """Make `scaling` right for a layer that has another factor (Gemma 4 has two)."""
        factor = self.lens.scaling[layer] / self.scaling
        return query if factor == 1 else query * factor

    def _stacked(self, heads: Sequence[Float[Tensor, "batch tokens _"]]) -> Float[Tensor, "batch heads tokens dim"]:
        filled = [nn.functional.pad(one, (0, self.width - one.shape[-1])) for one in heads]
        return torch.stack(filled if any(one.shape[-1] < self.width for one in heads) else list(heads), dim=1)

    def _forward(self, batch: list[list[int]], wanted: Wanted) -> Iterator[Tensor]:
        prefix = len(self._prefix())
        reading = self._read(batch, wanted)
        stacked = self._stacked([reading.keys[layer][:, head] for layer, head in self.pairs])
        for row, tokens in enumerate(batch):
            yield stacked[row, :, prefix : prefix + len(tokens)].cpu().clone()

    def _read(self, batch: list[list[int]], wanted: Wanted) -> Reading:
        prefix = self._prefix()
        # Padding goes to the right, where a causal model can't see it: no mask is needed, SDPA takes its fast path.
        return self.lens.read(pad_right([prefix + tokens for tokens in batch]).ids, wanted)

    def _batches(self, lengths: Sequence[int], size: int = BATCH_TOKENS) -> Iterator[list[int]]:
        prefix = len(self._prefix())
        return length_batches([prefix + length for length in lengths], tokens=size)

    def _prefix(self) -> list[int]:
        # Includes the tokenizer's begin-of-text token. The prefix is the attention sink, so that no record's token
        # becomes it.
        return opening_ids(self.lens.loaded, self.calibration.prefix)

    def _tokenize(self, texts: Sequence[str]) -> tuple[list[list[int]], list[npt.NDArray[np.int32]]]:
        if not texts:
            return [], []
        if not self.lens.loaded.tokenizer.is_fast:
            raise ModelError(
                f"the tokenizer of {self.lens.loaded.name} gives no character offsets: expected one with a "
                "tokenizer.json; convert it with `tokenizers`, or use another model"
            )
        encoded: BatchEncoding = self.lens.loaded.tokenizer(
            # Tokenizers refuse lone surrogates; "?" keeps the offsets.
            [text.encode("utf-8", "replace").decode() for text in texts],
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            verbose=False,
        )
        spans = [np.asarray(offsets, dtype=np.int32).reshape(-1, 2) for offsets in encoded["offset_mapping"]]
        return encoded["input_ids"], spans


def _block_starts(length: int) -> list[int]:
    if length <= BLOCK:
        return [0] if length else []
    return list(range(0, length - OVERLAP, BLOCK - OVERLAP))
