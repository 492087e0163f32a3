"""Similarity of a request to the inputs of a bank's contrasts: by the model's own hidden states, by words, or by a
sentence encoder. Each gives a score per row; its scale matters only for softmax weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError
from penchant.inference.sentence_encoder import FloatArray, embedder
from penchant.steering.choices import Similarity
from penchant.steering.storage.bank import Bank, drop
from penchant.text.bm25 import TextIndex


@dataclass(frozen=True)
class Scorer:
    """Scores rows by one kind of similarity. texts: contrast id -> its input, needed by all kinds except "hidden": no
    text is stored with the vectors, so it is looked up in the records.

    Raises `InputError` for an unknown kind, and `ModelError` for "dense" if the encoder's package isn't installed.
    """

    similarity: Similarity = "hidden"
    texts: Mapping[str, str] = field(default_factory=dict)
    _embedded: dict[str, FloatArray] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.similarity not in get_args(Similarity):
            raise InputError(f"similarity {self.similarity!r}: expected one of {', '.join(get_args(Similarity))}")
        if self.similarity == "dense":
            _sentence_encoder()

    def usable(self, bank: Bank) -> Bank:
        """Return the rows that can be compared: those whose text is available."""
        if self.similarity == "hidden":
            return bank
        return drop(bank, [row.contrast for row in bank.rows if row.contrast not in self.texts])

    def scores(
        self,
        bank: Bank,
        query: str,
        key: Float[Tensor, " width"] | None = None,
        centre: Float[Tensor, " width"] | None = None,
    ) -> Float[Tensor, " rows"]:
        """Score each row of a bank. query: a request, or a held-out input. key: its hidden state (`read_keys` with
        `bank.key`), needed only by "hidden"; centre: see `hidden_scores`.

        Raises `InputError` for a row without text (`usable`), or a missing key.
        """
        if self.similarity == "hidden":
            if key is None:
                raise InputError("no key to compare hidden states with: read it with read_keys")
            return hidden_scores(bank, key, centre)
        lacking = [row.contrast for row in bank.rows if row.contrast not in self.texts]
        if lacking:
            raise InputError(f"{len(lacking)} rows without the text of their input: expected one each; see usable")
        inputs = [self.texts[row.contrast] for row in bank.rows]
        return bm25_scores(inputs, query) if self.similarity == "bm25" else self._dense(inputs, query)

    def _dense(self, inputs: Sequence[str], query: str) -> Float[Tensor, " rows"]:
        """Cosine of sentence embeddings."""
        new = [text for text in dict.fromkeys([*inputs, query]) if text not in self._embedded]
        self._embedded.update(zip(new, _sentence_encoder()(new)[0], strict=True))
        rows = np.array([self._embedded[text] @ self._embedded[query] for text in inputs], dtype=np.float32)
        return torch.from_numpy(rows)


def hidden_scores(
    bank: Bank, key: Float[Tensor, " width"], centre: Float[Tensor, " width"] | None = None
) -> Float[Tensor, " rows"]:
    """Return the cosine of a request's key (`vectors.read_keys` with `bank.key`) with each row's, both relative to
    `centre`.

    centre: the mean of all inputs, which is most of a hidden state: the population's mean key (default: the mean of the
    bank's own keys, if it has at least two). Without it all cosines are near 1. Raises `InputError` for a key of
    another width.
    """
    if key.shape[0] != bank.keys.shape[1]:
        raise InputError(f"a key of {key.shape[0]} numbers for a bank with {bank.keys.shape[1]}: read it at {bank.key}")
    if centre is None:
        centre = bank.keys.mean(0) if len(bank) > 1 else torch.zeros_like(key)
    rows, query = bank.keys - centre, key - centre
    lengths = rows.norm(dim=1) * query.norm()
    scores: Tensor = (rows @ query) / lengths.clamp(min=1e-12)
    return scores


def bm25_scores(inputs: Sequence[str], query: str, language: str | None = None) -> Float[Tensor, " rows"]:
    """Return BM25 divided by the best row's, so between 0 and 1. language: as in `marking.bm25.bm25`."""
    found = torch.from_numpy(TextIndex(inputs, language).scores(query))
    return found / found.max().clamp(min=1e-12) if len(found) else found


@cache
def _sentence_encoder() -> Callable[[Sequence[str]], tuple[FloatArray, int]]:
    """Return one encoder for all requests; it caches its weights, but no text."""
    return embedder()
