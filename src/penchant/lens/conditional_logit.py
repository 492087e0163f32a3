"""Conditional logit: fits weights of several scores to labelled evidence, with a softmax over the segments of a
history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Example:
    """One request. features: float32 [scores, segments], standardised; evidence: positions of the segments that
    matter.
    """

    features: FloatArray
    evidence: tuple[int, ...]


@dataclass(frozen=True)
class Fit:
    """The fitted parameters. weights: one per score; previous, following: the share that a segment gets from its
    neighbours in time.
    """

    weights: tuple[float, ...]
    previous: float
    following: float

    def __call__(self, features: FloatArray) -> FloatArray:
        scores = np.asarray(self.weights, dtype=np.float32) @ features
        return with_neighbours(scores, self.previous, self.following)


def with_neighbours(scores: FloatArray, previous: float, following: float) -> FloatArray:
    """Add to each segment's score a share of the scores of the segments before and after it in time."""
    out = scores.copy()
    out[1:] += previous * scores[:-1]
    out[:-1] += following * scores[1:]
    return out


def fit_weights(examples: Sequence[Example], *, ridge: float = 0.05, steps: int = 80) -> Fit:
    """Maximise the mean log-probability of the evidence segments under a softmax over weighted scores.

    Convex except for the two neighbour shares; L-BFGS from equal weights, deterministic. ridge: L2 penalty on the
    weights. The shares stay between -1 and 1, so that a neighbour never counts more than the segment itself and shares
    can't grow to evade the penalty on the weights.
    """
    count = examples[0].features.shape[0]
    weights = torch.full((count,), 1.0 / count, requires_grad=True)
    unbounded = torch.tensor([0.2, 0.1]).atanh().requires_grad_()
    data = [(torch.from_numpy(example.features), torch.tensor(example.evidence)) for example in examples]
    optimiser = torch.optim.LBFGS([weights, unbounded], max_iter=steps, line_search_fn="strong_wolfe")

    def loss() -> Float[Tensor, ""]:
        optimiser.zero_grad()
        total = torch.zeros(())
        shares = unbounded.tanh()
        for features, evidence in data:
            scores = weights @ features
            before = torch.nn.functional.pad(scores[:-1], (1, 0))
            after = torch.nn.functional.pad(scores[1:], (0, 1))
            smoothed = scores + shares[0] * before + shares[1] * after
            total = total - smoothed.log_softmax(-1)[evidence].mean()
        value = total / len(data) + ridge * weights.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        optimiser.step(loss)  # type: ignore[no-untyped-call]
    previous, following = (float(share) for share in unbounded.detach().tanh())
    return Fit(tuple(float(weight) for weight in weights.detach()), previous, following)


def held_out(examples: Sequence[Sequence[Example]], *, ridge: float = 0.05) -> list[list[FloatArray]]:
    """Return scores of every example by weights fitted on the other groups (histories): leave-one-group-out validation.

    Raises `InputError` for fewer than two groups.
    """
    if len(examples) < 2:
        raise InputError(f"{len(examples)} histories: expected at least two, to hold one out")
    out = []
    for left_out, group in enumerate(examples):
        fitted = fit_weights([e for i, g in enumerate(examples) if i != left_out for e in g], ridge=ridge)
        out.append([fitted(example.features) for example in group])
    return out


def auc_left_out(examples: Sequence[Sequence[Example]]) -> float | None:
    """Mean AUC of `held_out`, rounded to four digits; None for a single group, where nothing can be left out."""
    if len(examples) < 2:
        return None
    unseen = [
        area_under_curve(scores, example.evidence)
        for group, scored in zip(examples, held_out(examples), strict=True)
        for example, scores in zip(group, scored, strict=True)
    ]
    return round(float(np.mean(unseen)), 4)


def area_under_curve(scores: npt.NDArray[np.floating], evidence: Sequence[int]) -> float:
    """Return the AUC: the probability that an evidence segment outscores another one (ties count half)."""
    positive = scores[list(evidence)]
    others = np.sort(np.delete(scores, list(evidence)))
    if not len(others):
        return 1.0
    below = np.searchsorted(others, positive, "left")
    upto = np.searchsorted(others, positive, "right")
    return float(((below + upto) / 2 / len(others)).mean())
