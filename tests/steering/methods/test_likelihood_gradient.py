import pytest
import torch

from penchant.inference.sites import Site
from penchant.steering.methods.likelihood_gradient import LIKELIHOOD_GRADIENT
from tests.steering.methods.vectors_cases import written


def test_gradients_are_weighed_by_likeness_or_all_alike() -> None:
    assert LIKELIHOOD_GRADIENT.reading == "gradient" and LIKELIHOOD_GRADIENT.population
    scores = torch.randn(9, generator=torch.Generator().manual_seed(0))
    seen = []
    for aggregation in LIKELIHOOD_GRADIENT.aggregations:
        found, bank = written(LIKELIHOOD_GRADIENT, aggregation, scores)
        ((site, vector),) = found.items()
        assert site == Site(1, "block")
        uniform = aggregation.weights == "uniform"
        weights = torch.full((9,), 1 / 9) if uniform else (scores / aggregation.temperature).softmax(0)
        samples = 1 / float(weights.square().sum())
        trust = samples / (samples + aggregation.shrinkage)
        assert vector == pytest.approx(2.0 * aggregation.own_share * trust * (weights @ bank.vectors[site]), abs=1e-5)
        seen.append((aggregation.weights, aggregation.shrinkage > 0))
    # Plain means are among what is tried, so that likeness has to earn its place; shrunk and not.
    assert {("uniform", False), ("uniform", True), ("softmax", False), ("softmax", True)} == set(seen)
    assert max(LIKELIHOOD_GRADIENT.strengths) < 0.5 / 2  # shares of the residual stream, well under the cap
