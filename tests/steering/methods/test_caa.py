import pytest
import torch

from penchant.inference.sites import Site
from penchant.steering.methods.caa import CAA
from tests.steering.methods.vectors_cases import written


def test_every_request_gets_the_mean_of_all_differences() -> None:
    assert CAA.reading == "answer_mean" and not CAA.population
    (aggregation,) = CAA.aggregations
    for seed in (0, 1):
        found, bank = written(CAA, aggregation, torch.randn(9, generator=torch.Generator().manual_seed(seed)))
        assert set(found) == {Site(1, "block")}
        for site, vector in found.items():
            assert vector == pytest.approx(2.0 * bank.vectors[site].mean(0), abs=1e-5)
