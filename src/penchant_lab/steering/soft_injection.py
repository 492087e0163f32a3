"""Soft Injection (2025, arXiv 2507.20906): a user as the head outputs that the user's own examples cause, mixed in by
learned gates, so that the examples needn't stand in the prompt.

The embedding t(layer, head) is the mean output of a head at the last token of prompts that hold examples (shots) of
the user's own items. A gate m in [0, 1] for each head, learned on a few of the user's exchanges without examples, the
model frozen, mixes it in: h <- (1 - m) h + m t. The paper does so at the prompt's last token alone; the scope last_1
takes in the tokens of the answer as well, and gates are learned for that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError
from penchant.inference.batching import length_batches, pad_left
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.likelihood import Exchange
from penchant.inference.sites import Site
from penchant.lens.activations import pooled_activations
from penchant.models.loading import LoadedModel
from penchant_lab.steering.learning import (
    Head,
    OnLoss,
    TrainingData,
    TrainingRun,
    all_heads,
    as_training_data,
    at_heads,
    learn,
)

SCOPE = "last_1"
ROWS = 8
_BYTES = 2  # bfloat16


@dataclass(frozen=True)
class Embedding:
    """vectors: float32 [heads, head_dim], the mean output of each of `heads`."""

    heads: tuple[Head, ...]
    vectors: Float[Tensor, "heads head_dim"]


@dataclass(frozen=True)
class Injection:
    """gates: float32 [heads], in [0, 1], for the heads of `embedding`. run: how they were learned."""

    embedding: Embedding
    gates: Float[Tensor, " heads"]
    scope: str = SCOPE
    run: TrainingRun | None = None

    @property
    def bytes(self) -> int:
        """What a user costs, in bfloat16: gates, and the vectors of heads whose gate isn't shut."""
        open_heads = int((self.gates > 0).sum())
        return (open_heads * self.embedding.vectors.shape[1] + len(self.gates)) * _BYTES

    def of(self, embedding: Embedding) -> Injection:
        """The same gates for another user's embedding. Raises `InputError` for one of other heads."""
        if embedding.heads != self.embedding.heads:
            raise InputError("an embedding of other heads: expected those that the gates were learned for")
        return replace(self, embedding=embedding)

    def intervention(self, loaded: LoadedModel) -> Intervention:
        """One row; layers whose gates are all shut are left out."""
        edits = _edits(loaded, self.embedding, self.gates)
        return Intervention(
            {site: edit for site, edit in edits.items() if edit.scale is not None and bool((edit.scale != 1).any())},
            self.scope,
        )


def embed_user(
    loaded: LoadedModel, prompts: Sequence[Sequence[int]], *, layers: Sequence[int] | None = None, rows: int = ROWS
) -> Embedding:
    """Mean head outputs at the last token of `prompts`: token ids, each with examples of the user's items and another
    of the user's requests behind them. Raises `InputError` for no prompts, or an empty one."""
    if not prompts or not all(len(prompt) for prompt in prompts):
        raise InputError("nothing to embed: expected prompts with examples, as token ids")
    heads = all_heads(loaded, layers)
    sites = sorted({Site(head.layer, "heads") for head in heads})
    total = {site: torch.zeros(loaded.num_heads * loaded.head_dim) for site in sites}
    for batch in length_batches([len(prompt) for prompt in prompts], rows=rows):
        padded = pad_left([prompts[i] for i in batch])
        weights = torch.zeros(padded.ids.shape)
        weights[:, -1] = 1
        found = pooled_activations(loaded, padded.ids, weights, sites, seen=padded.there)
        for site, values in found.items():
            total[site] += values.sum(0).cpu()
    means = {site: value.reshape(loaded.num_heads, -1) / len(prompts) for site, value in total.items()}
    return Embedding(tuple(heads), torch.stack([means[Site(head.layer, "heads")][head.head] for head in heads]))


def learn_gates(
    loaded: LoadedModel,
    exchanges: Sequence[Exchange] | TrainingData,
    embedding: Embedding,
    *,
    held_out: Sequence[Exchange] | TrainingData | None = None,
    scope: str = SCOPE,
    passes: int = 20,
    patience: int = 3,
    lr: float = 2e-2,
    seed: int = 0,
    progress: OnLoss | None = None,
) -> Injection:
    """Gates that make the answers of `exchanges`, asked without examples, likely; all are shut to begin with.

    held_out: exchanges of the same user that stop learning in time (`learn`); they may decide for no injection.
    """
    placed = replace(embedding, vectors=embedding.vectors.float().to(loaded.device))
    gates = torch.zeros(len(embedding.heads), device=loaded.device, requires_grad=True)

    def keep_in_range() -> None:
        with torch.no_grad():
            gates.clamp_(0, 1)

    run = learn(
        as_training_data(loaded, exchanges, scope),
        [gates],
        lambda: _edits(loaded, placed, gates),
        held_out=as_training_data(loaded, held_out, scope) if held_out else None,
        after_step=keep_in_range,
        lr=lr,
        passes=passes,
        patience=patience,
        seed=seed,
        progress=progress,
    )
    return Injection(embedding, gates.detach().cpu(), scope, run)


def _edits(loaded: LoadedModel, embedding: Embedding, gates: Tensor) -> Mapping[Site, Edit]:
    mixed = at_heads(loaded, embedding.heads, gates[:, None] * embedding.vectors)
    kept = at_heads(loaded, embedding.heads, 1 - gates[:, None], neutral=1.0)
    return {site: Edit(mixed[site], kept[site]) for site in mixed}
