import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from penchant.errors import InputError
from penchant_lab.measures.metrics import auc, bootstrap, paired_bootstrap, recall_at_budget, recall_at_k


def test_auc_by_hand() -> None:
    # Of the four (positive, other) pairs, 0.9 beats both others, 0.4 beats only 0.1.
    assert auc([0.9, 0.5, 0.4, 0.1], [0, 2]) == 0.75
    assert auc([1.0, 2.0, 3.0], [2]) == 1.0
    assert auc([1.0, 2.0, 3.0], [0]) == 0.0


def test_auc_counts_ties_half_wherever_they_stand() -> None:
    assert auc([0.0, 0.0, 0.0, 0.0], [3]) == 0.5
    assert auc([1.0, 1.0, 0.0], [0]) == auc([1.0, 1.0, 0.0], [1]) == 0.75


def test_auc_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 20, 200) / 7
    positives = rng.choice(200, 15, replace=False)
    truth = np.isin(np.arange(200), positives)
    assert auc(scores, positives) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)


def test_recall_at_k_by_hand() -> None:
    scores = [0.1, 0.9, 0.5, 0.5]
    assert recall_at_k(scores, 1, [1, 3]) == 0.5
    assert recall_at_k(scores, 2, [1, 3]) == 0.5  # the tie goes to the earlier one, which is not evidence
    assert recall_at_k(scores, 3, [1, 3]) == 1.0
    assert recall_at_k(scores, 100, [0]) == 1.0


def test_budget_skips_what_does_not_fit_and_goes_on() -> None:
    scores, costs = [4.0, 3.0, 2.0, 1.0], [5, 6, 4, 1]
    # Of 10: takes 0 (5 left), skips 1 (6 > 5), takes 2 (1 left), takes 3 (exactly fits).
    assert recall_at_budget(scores, costs, 10, [1]) == 0.0
    assert recall_at_budget(scores, costs, 10, [0, 2, 3]) == 1.0
    assert recall_at_budget(scores, costs, 10, [1, 3]) == 0.5
    assert recall_at_budget(scores, costs, 9, [3]) == 0.0  # 5 + 4 leave nothing
    assert recall_at_budget(scores, costs, 16, [0, 1, 2, 3]) == 1.0
    assert recall_at_budget(scores, costs, 0, [0, 1, 2, 3]) == 0.0


def test_budget_takes_ties_in_time_order() -> None:
    assert recall_at_budget([1.0, 1.0], [3, 3], 3, [0]) == 1.0
    assert recall_at_budget([1.0, 1.0], [3, 3], 3, [1]) == 0.0


def test_bootstrap_of_constant_and_single_values() -> None:
    assert bootstrap([0.25] * 8) == (0.25, 0.25, 0.25)
    assert bootstrap([0.7]) == (0.7, 0.7, 0.7)


def test_bootstrap_is_close_to_the_normal_interval_and_reproducible() -> None:
    values = np.random.default_rng(0).normal(2.0, 1.0, 400)
    mean, low, high = bootstrap(values, seed=1)
    half = 1.96 * values.std() / 20
    assert mean == pytest.approx(values.mean())
    assert low == pytest.approx(mean - half, abs=0.01)
    assert high == pytest.approx(mean + half, abs=0.01)
    assert bootstrap(values, seed=1) == (mean, low, high)
    assert bootstrap(values, seed=2) != (mean, low, high)


def test_two_values_by_hand() -> None:
    # Means of two drawn of {0, 1}: 0, 0.5, 1 with probability 1/4, 1/2, 1/4.
    assert bootstrap([0.0, 1.0]) == (0.5, 0.0, 1.0)


def test_clusters_are_drawn_whole() -> None:
    values, clusters = [0.0] * 50 + [1.0] * 50, ["a"] * 50 + ["b"] * 50
    alone = bootstrap(values)
    assert 0.38 < alone.low < 0.42
    assert 0.58 < alone.high < 0.62
    assert bootstrap(values, clusters=clusters) == (0.5, 0.0, 1.0)


def test_uneven_clusters_weigh_by_their_questions() -> None:
    # Drawing "a" twice gives 0, "b" twice 1, one of each (3 * 0 + 1 * 1) / 4.
    interval = bootstrap([0.0, 0.0, 0.0, 1.0], clusters=["a", "a", "a", "b"], rounds=2000)
    assert interval == (0.25, 0.0, 1.0)


def test_pairing_removes_what_both_share() -> None:
    hard = np.random.default_rng(5).random(200)
    better = paired_bootstrap(hard + 0.01, hard, seed=0)
    assert better.low == pytest.approx(0.01)
    assert better.high == pytest.approx(0.01)
    assert paired_bootstrap(hard, hard + 0.01, seed=0).high < 0
    assert bootstrap(hard + 0.01).low < bootstrap(hard).high


def test_what_can_not_be_measured_is_refused() -> None:
    with pytest.raises(InputError, match="no evidence"):
        auc([1.0, 2.0], [])
    with pytest.raises(InputError, match="every segment is evidence"):
        auc([1.0, 2.0], [0, 1])
    with pytest.raises(InputError, match="of 2 segments"):
        recall_at_k([1.0, 2.0], 1, [2])
    with pytest.raises(InputError, match="1 costs for 2 segments"):
        recall_at_budget([1.0, 2.0], [1], 1, [0])
    with pytest.raises(InputError, match="at least one"):
        bootstrap([])
    with pytest.raises(InputError, match="finite"):
        bootstrap([1.0, float("nan")])
    with pytest.raises(InputError, match="2 clusters for 1 values"):
        bootstrap([1.0], clusters=["a", "b"])
    with pytest.raises(InputError, match="same questions"):
        paired_bootstrap([1.0, 2.0], [1.0])
