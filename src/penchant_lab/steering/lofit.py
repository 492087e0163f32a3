"""LoFiT (Yin et al. 2024, arXiv 2406.01563): a user as learned offsets at a few heads.

First the heads are chosen: a scale (1 + A) z on every head's output z is learned, with an L1 penalty, and the heads of
the largest |A| are kept. Then an offset is learned for each of them, z + v, the model frozen throughout. The loss is
the cross-entropy of the user's answers. Here the heads are usually chosen on the population, offsets start from those
of the population, and a user's own correction is shrunk towards them: few exchanges are enough then, and the heads
are the same for all users, so a user costs heads x head_dim numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError
from penchant.inference.intervention import AFTER_PROMPT, Edit, Intervention
from penchant.inference.likelihood import Exchange
from penchant.inference.sites import Site
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

SHARE = 0.03
"""Of all heads, as in the paper."""
SPREAD = 1e-3
LEARNING_RATE = 5e-2
"""Of the offsets. The paper's is 2e-2, over many more steps than a user's few exchanges make."""
_BYTES = 2  # bfloat16


@dataclass(frozen=True)
class Offsets:
    """vectors: float32 [heads, head_dim], one for each of `heads`. run: how they were learned."""

    heads: tuple[Head, ...]
    vectors: Float[Tensor, "heads head_dim"]
    scope: str = AFTER_PROMPT
    run: TrainingRun | None = None

    def __post_init__(self) -> None:
        if len(self.heads) != len(self.vectors) or len(set(self.heads)) != len(self.heads):
            raise InputError(f"{len(self.vectors)} offsets for {len(set(self.heads))} heads: expected one each")

    @property
    def bytes(self) -> int:
        """What a user costs, in bfloat16; which heads they are is the same for all users."""
        return self.vectors.numel() * _BYTES

    def intervention(self, loaded: LoadedModel) -> Intervention:
        """One row; zeros at all other heads of the layers."""
        return Intervention(_edits(loaded, self.heads, self.vectors), self.scope)


def choose_heads(
    loaded: LoadedModel,
    exchanges: Sequence[Exchange] | TrainingData,
    count: int | None = None,
    *,
    layers: Sequence[int] | None = None,
    scope: str = AFTER_PROMPT,
    passes: int = 5,
    lr: float = 5e-3,
    l1: float = 5e-4,
    seed: int = 0,
    progress: OnLoss | None = None,
) -> tuple[Head, ...]:
    """The `count` heads (None: `SHARE` of all) whose learned scale has the largest norm, in order.

    layers: where to look (None: everywhere). l1: weight of the penalty on the sum of |A|. Raises `InputError` for a
    count that the layers don't have.
    """
    heads = all_heads(loaded, layers)
    wanted = _checked(
        count if count is not None else max(1, round(SHARE * loaded.num_layers * loaded.num_heads)), heads
    )
    draw = torch.Generator().manual_seed(seed)
    scale = torch.randn(len(heads), loaded.head_dim, generator=draw).mul_(SPREAD).to(loaded.device).requires_grad_()

    def edits() -> Mapping[Site, Edit]:
        return {site: Edit(scale=1 + row) for site, row in at_heads(loaded, heads, scale).items()}

    data = as_training_data(loaded, exchanges, scope)
    learn(
        data,
        [scale],
        edits,
        penalty=lambda: l1 * scale.abs().sum(),
        lr=lr,
        passes=passes,
        seed=seed,
        progress=progress,
    )
    best = scale.detach().norm(dim=1).topk(wanted).indices.tolist()
    return tuple(sorted(heads[index] for index in best))


def learn_offsets(
    loaded: LoadedModel,
    exchanges: Sequence[Exchange] | TrainingData,
    heads: Sequence[Head],
    *,
    held_out: Sequence[Exchange] | TrainingData | None = None,
    start: Offsets | None = None,
    shrink: float = 0.0,
    scope: str = AFTER_PROMPT,
    passes: int = 20,
    patience: int = 3,
    lr: float = LEARNING_RATE,
    seed: int = 0,
    progress: OnLoss | None = None,
) -> Offsets:
    """Offsets at `heads` that make the answers of `exchanges` likely.

    held_out: exchanges of the same user that stop learning in time (`learn`); they may decide for `start` as it is.
    start: offsets at the same heads to begin with, those of the population (None: zero); shrink: weight of the squared
    distance from them, in nats. Raises `InputError` for no heads, or a start at other heads or of another scope.
    """
    if not heads:
        raise InputError("no heads: expected at least one; choose_heads finds them")
    if start is not None and (tuple(heads) != start.heads or scope != start.scope):
        raise InputError("start has other heads or another scope: expected offsets at the same heads")
    before = torch.zeros(len(heads), loaded.head_dim) if start is None else start.vectors.float()
    before = before.to(loaded.device)
    own = torch.zeros_like(before, requires_grad=True)
    run = learn(
        as_training_data(loaded, exchanges, scope),
        [own],
        lambda: _edits(loaded, heads, before + own),
        held_out=as_training_data(loaded, held_out, scope) if held_out else None,
        penalty=(lambda: shrink * own.square().sum()) if shrink else None,
        lr=lr,
        passes=passes,
        patience=patience,
        seed=seed,
        progress=progress,
    )
    return Offsets(tuple(heads), (before + own).detach().cpu(), scope, run)


def _edits(loaded: LoadedModel, heads: Sequence[Head], vectors: Tensor) -> dict[Site, Edit]:
    return {site: Edit(row) for site, row in at_heads(loaded, heads, vectors).items()}


def _checked(count: int, heads: Sequence[Head]) -> int:
    if not 1 <= count <= len(heads):
        raise InputError(f"{count} heads: expected 1 to {len(heads)}, as many as there are to choose from")
    return count
