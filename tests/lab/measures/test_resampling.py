import numpy as np
import pytest

from penchant_lab.measures.metrics import bootstrap, paired_bootstrap
from penchant_lab.measures.resampling import FEWEST, Answers, Estimate, Resampling
from penchant_lab.measures.scores import METRICS

RNG = np.random.default_rng(5)
ITEMS = 120
USERS = np.arange(ITEMS) // 8
VALUES = RNG.normal(1, 1, ITEMS) + USERS / 5


def _close(found: Estimate | None, mean: float, low: float, high: float) -> None:
    assert found is not None and found.low is not None and found.high is not None
    assert found.mean == pytest.approx(mean)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.03 * (high - low))


@pytest.mark.parametrize("clusters", [np.arange(ITEMS), USERS])
def test_means_agree_with_the_plain_bootstrap(clusters: np.ndarray) -> None:
    other = RNG.normal(0, 1, ITEMS)
    found = Resampling(clusters).means(np.stack([VALUES, VALUES - other], axis=1))
    _close(found[0], *bootstrap(VALUES, clusters=clusters.tolist()))
    _close(found[1], *paired_bootstrap(VALUES, other, clusters=clusters.tolist()))


def test_clusters_make_an_interval_wider_where_they_go_together() -> None:
    alone, together = Resampling(np.arange(ITEMS)).mean(VALUES), Resampling(USERS).mean(VALUES)
    assert alone is not None and together is not None
    assert together.high - together.low > 1.3 * (alone.high - alone.low)  # type: ignore[operator]


def test_missing_values_belong_to_no_mean() -> None:
    values = np.where(np.arange(ITEMS) < 50, VALUES, np.nan)
    found = Resampling(np.arange(ITEMS)).means(np.stack([values, VALUES, np.full(ITEMS, np.nan)], axis=1))
    _close(found[0], *bootstrap(VALUES[:50]))
    assert found[0] is not None and found[0].n == 50
    assert found[1] is not None and found[1].n == ITEMS
    assert found[2] is None


def test_a_ratio_is_of_means_and_of_the_same_items() -> None:
    bottom = VALUES + 1
    found = Resampling(np.arange(ITEMS)).ratio(0.7 * bottom, bottom)
    assert found == Estimate(pytest.approx(0.7), pytest.approx(0.7), pytest.approx(0.7), ITEMS)  # they go together
    top = np.where(np.arange(ITEMS) < 20, VALUES, np.nan)
    some = Resampling(np.arange(ITEMS)).ratio(top, bottom)
    assert some is not None and some.n == 20
    assert some.mean == pytest.approx(VALUES[:20].mean() / bottom[:20].mean())
    assert some.low is not None and some.high is not None and some.low < some.mean < some.high
    assert Resampling(np.arange(2)).ratio(np.ones(2), np.array([1.0, -1.0])) is None
    assert Resampling(np.arange(2)).ratio(np.ones(2), np.full(2, np.nan)) is None


def _answers(predicted: np.ndarray, true: np.ndarray, weight: float = 1.0) -> Answers:
    return Answers(predicted, true, np.arange(len(true)), np.full(len(true), weight))


def test_figures_of_all_items() -> None:
    resampling = Resampling(np.arange(ITEMS))
    true = RNG.normal(0, 1, ITEMS)
    said = true + RNG.normal(0, 0.5, ITEMS)
    mae = METRICS["mae"].of_all
    assert mae is not None
    _close(resampling.figure(mae, _answers(said, true)), *bootstrap(np.abs(said - true)))
    worse = true + 1.0
    found = resampling.figure(mae, _answers(said, true), _answers(worse, true))
    _close(found, *paired_bootstrap(np.abs(said - true), np.abs(worse - true)))
    assert found is not None and found.sign == -1


def test_answers_of_several_seeds_count_as_one_item() -> None:
    mae = METRICS["mae"].of_all
    assert mae is not None
    once = _answers(np.arange(8.0), np.zeros(8))
    seeds = np.array([1, 1, 1, 1, 1, 1, 1, 4])
    often = Answers(once.predicted.repeat(seeds), np.zeros(11), once.item.repeat(seeds), (1 / seeds).repeat(seeds))
    first, second = (Resampling(np.arange(8)).figure(mae, answers) for answers in (once, often))
    assert first is not None and second is not None and first.n == second.n == 8
    assert (second.mean, second.low, second.high) == pytest.approx((first.mean, first.low, first.high))


def test_a_figure_that_is_not_defined_is_none() -> None:
    auc = METRICS["auc"].of_all
    assert auc is not None
    assert Resampling(np.arange(4)).figure(auc, _answers(np.arange(4.0), np.ones(4))) is None
    nothing = Answers(np.empty(0), np.empty(0), np.empty(0, dtype=np.intp), np.empty(0))
    assert Resampling(np.arange(4)).figure(auc, nothing) is None


def test_too_few_clusters_have_no_interval() -> None:
    """Even if every one of five is above zero, chance does that one time in sixteen."""
    few, enough = (Resampling(np.arange(n)).mean(np.arange(1.0, n + 1)) for n in (FEWEST - 1, FEWEST))
    assert few == Estimate(3.0, None, None, 5) and few.sign == 0 and few.interval is None
    assert enough is not None and enough.sign == 1 and enough.interval is not None
    assert Resampling(np.zeros(50, dtype=np.intp)).mean(np.ones(50)) == Estimate(1.0, None, None, 50)


def test_the_seed_decides_the_draws() -> None:
    first, again, other = (Resampling(np.arange(ITEMS), seed, 500).mean(VALUES) for seed in (0, 0, 1))
    assert first == again != other
