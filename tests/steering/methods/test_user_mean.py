import pytest
import torch

from penchant.inference.sites import Site
from penchant.steering.methods.user_mean import USER_MEAN
from tests.steering.methods.vectors_cases import written


def test_every_request_gets_the_mean_of_all_differences() -> None:
    assert USER_MEAN.reading == "answer_mean" and not USER_MEAN.population
    (aggregation,) = USER_MEAN.aggregations
    for seed in (0, 1):
        found, bank = written(USER_MEAN, aggregation, torch.randn(9, generator=torch.Generator().manual_seed(seed)))
        assert set(found) == {Site(1, "attention"), Site(1, "mlp")}
        for site, vector in found.items():
            assert vector == pytest.approx(2.0 * bank.vectors[site].mean(0), abs=1e-5)
