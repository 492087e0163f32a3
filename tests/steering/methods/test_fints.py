import pytest
import torch

from penchant.inference.sites import Site
from penchant.steering.methods.fints import FINTS, FINTS_PROMPT
from penchant.steering.methods.method import VectorMethod
from tests.steering.methods.vectors_cases import written

SCORES = torch.tensor([0.5, -0.2, 0.9, 0.1, 0.8, 0.3, -0.9, 0.85, 0.0])
BEST = [2, 7, 4, 0, 5]


@pytest.mark.parametrize("method", [FINTS, FINTS_PROMPT])
def test_the_five_most_similar_samples_are_mixed_at_both_outputs_of_a_layer(method: VectorMethod) -> None:
    uniform, soft = method.aggregations
    for aggregation, weights in ((uniform, torch.full((5,), 0.2)), (soft, (SCORES[BEST] / 0.1).softmax(0))):
        found, bank = written(method, aggregation, SCORES)
        assert set(found) == {Site(1, "attention"), Site(1, "mlp")}
        for site, vector in found.items():
            assert vector == pytest.approx(2.0 * (weights @ bank.vectors[site][BEST]), abs=1e-5)


def test_its_two_readings() -> None:
    assert (FINTS.reading, FINTS_PROMPT.reading) == ("answer_mean", "prompt_last")
    assert not FINTS.population and not FINTS_PROMPT.population
