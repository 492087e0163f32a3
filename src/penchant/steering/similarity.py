"""How alike a request is to the inputs of a bank's contrasts: by the model's own hidden states, by words, or by a
sentence embedder. Each gives a score per row; which scale doesn't matter to the choice of the best, but does to softmax
weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError
from penchant.history.bm25 import TextIndex
from penchant.models.embedder import embedder
from penchant.steering.bank import Bank

Similarity = Literal["hidden", "bm25", "dense"]

InputScores = Callable[[Sequence[str], str], Float[Tensor, " rows"]]
"""From the inputs of a bank's contrasts, in order, and the request's query to a score for each."""


def hidden_scores(
    bank: Bank, key: Float[Tensor, " width"], centre: Float[Tensor, " width"] | None = None
) -> Float[Tensor, " rows"]:
    """Cosine of a request's key (`vectors.read_keys` with `bank.key`) with each row's, both taken from `centre`.

    centre: what all inputs share, which is most of a hidden state: the population's mean key (default: the mean of the
    bank's own keys where it has at least two). Without it all cosines are near 1.
    Raises `InputError` for a key of another width.
    """
    if key.shape[0] != bank.keys.shape[1]:
        raise InputError(f"a key of {key.shape[0]} numbers for a bank with {bank.keys.shape[1]}: read it at {bank.key}")
    if centre is None:
        centre = bank.keys.mean(0) if len(bank) > 1 else torch.zeros_like(key)
    rows, query = bank.keys - centre, key - centre
    lengths = rows.norm(dim=1) * query.norm()
    scores: Tensor = (rows @ query) / lengths.clamp(min=1e-12)
    return scores


def bm25_scores(language: str | None = None) -> InputScores:
    """BM25 between 0 and 1: divided by the best row's. language: as in `marking.lexical.bm25`."""

    def score(inputs: Sequence[str], query: str) -> Tensor:
        found = torch.from_numpy(TextIndex(inputs, language).scores(query))
        return found / found.max().clamp(min=1e-12) if len(found) else found

    return score


def dense_scores(path: str | Path | None = None) -> InputScores:
    """Cosine of sentence embeddings; see `models.embedder.embedder`, also for the `ModelError` that it raises."""
    embed = embedder(path)

    def score(inputs: Sequence[str], query: str) -> Tensor:
        if not inputs:
            return torch.zeros(0)
        rows, _ = embed([*inputs, query])
        return torch.from_numpy(np.asarray(rows[:-1] @ rows[-1]))

    return score
