"""Self-information: what the model could not have guessed matters (Selective Context, Li et al., EMNLP 2023)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt
import torch

from penchant.history.records import History, Request, Segment
from penchant.inference.batching import length_batches, pad_right
from penchant.inference.forward import logits
from penchant.marking.lru import LRU, digest
from penchant.marking.marks import FloatArray, Marker, Marks
from penchant.marking.resources import Resources
from penchant.models.loading import LoadedModel

_BLOCK = 1024
_LOGIT_BYTES = 256 * 2**20


def surprisal(loaded: LoadedModel, *, block: int = _BLOCK, keep: int = 10_000) -> Marker:
    """A marker that scores a segment by the mean of -log p (nats) over its tokens, the request ignored.

    Each record runs alone behind the model's first special token, in length-sorted batches; one longer than `block`
    tokens runs in blocks that overlap by a quarter, each token scored where it has the longer context. A model
    without such a token can't score a record's first token; it is left out. A segment without scored tokens gets
    the lowest score of the others (0 when there are none). The figures of the last `keep` records stay in memory
    under a hash of their text. `history_tokens` counts the records' tokens, without special ones.
    """
    kept: LRU[_Surprise] = LRU(keep)

    def mark(history: History, request: Request, segments: Sequence[Segment]) -> Marks:
        began = time.perf_counter()
        keys = [digest(record.body) for record in history]
        known = {key: kept.get(key) for key in keys}
        new = {key: record.body for key, record in zip(keys, history, strict=True) if known[key] is None}
        fresh, fed = _surprises(loaded, list(new.values()), block)
        kept.put(zip(new, fresh, strict=True))
        known.update(zip(new, fresh, strict=True))
        encoded = time.perf_counter()
        rows = [row for row in (known[key] for key in keys) if row is not None]
        return Marks(
            tuple(segments),
            _pool(rows, segments),
            "surprisal",
            layers_run=loaded.num_layers,
            history_tokens=sum(row.tokens for row in rows),
            tokens_fed=fed,
            seconds={"encode": encoded - began, "mark": time.perf_counter() - encoded},
        )

    return mark


@dataclass(frozen=True, slots=True)
class _Surprise:
    """Of one record: characters each scored token covers, and the running sum of -log p, starting with 0."""

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    total: npt.NDArray[np.float64]
    tokens: int


def _pool(rows: Sequence[_Surprise], segments: Sequence[Segment]) -> FloatArray:
    scores = np.full(len(segments), np.nan)
    numbered = enumerate(segments)
    for record, group in groupby(numbered, key=lambda pair: pair[1].record):
        row, members = rows[record], list(group)
        where = [i for i, _ in members]
        # Tokens that share a character with the segment; both ends of the offsets never decrease.
        first = np.searchsorted(row.ends, [s.start for _, s in members], side="right")
        last = np.searchsorted(row.starts, [s.end for _, s in members], side="left")
        count = np.maximum(last - first, 0)
        sums = row.total[np.maximum(last, first)] - row.total[first]
        scores[where] = np.where(count > 0, sums / np.maximum(count, 1), np.nan)
    scored = np.isfinite(scores)
    lowest = scores[scored].min() if scored.any() else 0.0
    return np.where(scored, scores, lowest).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Piece:
    text: int  # which text
    ids: tuple[int, ...]  # with the leading token, where there is one
    at: int  # position in the text of the first token that this piece scores
    skip: int  # leading tokens that are context only


def _surprises(loaded: LoadedModel, texts: Sequence[str], block: int) -> tuple[list[_Surprise], int]:
    """-log p of every token of every text, and how many tokens were run."""
    if not texts:
        return [], 0
    # Tokenizers refuse lone surrogates; "?" keeps the offsets.
    clean = [text.encode("utf-8", "replace").decode() for text in texts]
    coded = loaded.tokenizer(clean, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    lead = _lead(loaded)
    pieces = [p for i, ids in enumerate(coded["input_ids"]) for p in _pieces(i, ids, lead, min(block, loaded.window))]
    values = [np.full(len(ids), np.nan) for ids in coded["input_ids"]]
    most = max(1, _LOGIT_BYTES // (4 * int(loaded.model.config.get_text_config().vocab_size)))
    for batch in length_batches([len(piece.ids) for piece in pieces], tokens=most):
        some = [pieces[i] for i in batch]
        for piece, row in zip(some, _run(loaded, some), strict=True):
            scored = row[piece.skip - 1 : len(piece.ids) - 1]
            values[piece.text][piece.at : piece.at + len(scored)] = scored
    rows = []
    for value, offsets in zip(values, coded["offset_mapping"], strict=True):
        spans = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)
        # Byte-level tokens of one character can share it; a running maximum keeps both ends sorted for the search.
        used = np.isfinite(value) & (spans[:, 1] > spans[:, 0])
        starts, ends = np.maximum.accumulate(spans[used, 0]), np.maximum.accumulate(spans[used, 1])
        rows.append(_Surprise(starts, ends, np.concatenate([[0.0], np.cumsum(value[used])]), len(value)))
    return rows, sum(len(piece.ids) for piece in pieces)


def _lead(loaded: LoadedModel) -> tuple[int, ...]:
    for token in (loaded.tokenizer.bos_token_id, loaded.tokenizer.eos_token_id):
        if isinstance(token, int):
            return (token,)
    return ()


def _pieces(text: int, ids: Sequence[int], lead: tuple[int, ...], block: int) -> Iterator[_Piece]:
    room = max(block - len(lead), 2)
    context = room // 4
    scored = 0 if lead else 1  # the first token has nothing before it to be guessed from
    while scored < len(ids):
        start = max(0, scored - context) if scored > 1 else 0
        part = tuple(ids[start : start + room])
        yield _Piece(text, lead + part, scored, len(lead) + scored - start)
        scored = start + len(part)


@torch.inference_mode()
def _run(loaded: LoadedModel, batch: Sequence[_Piece]) -> npt.NDArray[np.float32]:
    """-log p of token t + 1 after tokens 0 to t: [batch, longest - 1]. Padding lies on the right, where a causal
    model's real tokens can't see it, so no mask is needed (and the faster kernels stay in use)."""
    ids = pad_right([piece.ids for piece in batch]).ids
    values = logits(loaded, ids)
    ids = ids.to(values.device)
    found = [
        torch.nn.functional.cross_entropy(row[:-1].float(), target[1:], reduction="none")
        for row, target in zip(values, ids, strict=True)
    ]
    surprise: npt.NDArray[np.float32] = torch.stack(found).cpu().numpy()
    return surprise


def make(resources: Resources) -> Marker:
    """How hard a text is for the model to guess; ignores the request."""
    return surprisal(resources.loaded)
