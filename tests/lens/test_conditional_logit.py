import numpy as np
import pytest

from penchant.errors import InputError
from penchant.lens.conditional_logit import Example, Fit, area_under_curve, auc_left_out, fit_weights, held_out

SEGMENTS = 60


def planted(count: int, weights: tuple[float, ...], *, previous: float = 0.0, following: float = 0.0, seed: int = 0,
            noise: float = 0.0) -> list[Example]:  # fmt: skip
    """Examples whose evidence is drawn from the softmax that `fit_weights` assumes, with these weights."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        features = rng.normal(size=(len(weights), SEGMENTS)).astype(np.float32)
        logits = Fit(weights, previous, following)(features) + noise * rng.normal(size=SEGMENTS)
        chances = np.exp(logits - logits.max())
        out.append(Example(features, (int(rng.choice(SEGMENTS, p=chances / chances.sum())),)))
    return out


def test_planted_weights_are_recovered() -> None:
    true = (2.0, 0.0, 1.0)
    fitted = fit_weights(planted(600, true), ridge=0.0)
    assert fitted.weights == pytest.approx(true, abs=0.2)
    assert (fitted.previous, fitted.following) == pytest.approx((0.0, 0.0), abs=0.08)


def test_planted_shares_of_neighbours_are_recovered_in_their_direction() -> None:
    fitted = fit_weights(planted(600, (1.5, 0.5), previous=0.6, following=0.1), ridge=0.0)
    assert (fitted.previous, fitted.following) == pytest.approx((0.6, 0.1), abs=0.12)
    assert fitted.weights == pytest.approx((1.5, 0.5), abs=0.2)


def test_a_ridge_shrinks_and_the_fit_is_deterministic() -> None:
    examples = planted(80, (2.0, 1.0))
    free, held = fit_weights(examples, ridge=0.0), fit_weights(examples, ridge=0.5)
    assert np.square(held.weights).sum() < 0.5 * np.square(free.weights).sum()
    assert fit_weights(examples) == fit_weights(examples)


def test_several_pieces_of_evidence_all_count() -> None:
    features = np.zeros((2, 6), dtype=np.float32)
    features[0, 1], features[1, 4] = 3.0, 3.0
    fitted = fit_weights([Example(features, (1, 4))] * 5)
    assert min(fitted.weights) > 0.1
    assert fitted.weights[0] == pytest.approx(fitted.weights[1], abs=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_shares_of_neighbours_stay_small_however_thin_the_data(seed: int) -> None:
    rng = np.random.default_rng(seed)
    thin = [Example(rng.normal(size=(2, 5)).astype(np.float32), (2,)) for _ in range(2)]
    for examples in (thin, thin[:1]):
        fitted = fit_weights(examples)
        assert -1 <= fitted.previous <= 1
        assert -1 <= fitted.following <= 1
        assert max(abs(weight) for weight in fitted.weights) > 0.05


def test_applying_a_fit() -> None:
    features = np.array([[1, 0, 0, 2], [0, 1, 0, 0]], dtype=np.float32)
    plain = Fit((1.0, 10.0), 0.0, 0.0)(features)
    assert plain.tolist() == [1, 10, 0, 2]
    assert Fit((1.0, 10.0), 0.5, 0.0)(features).tolist() == [1, 10.5, 5, 2]
    assert Fit((1.0, 10.0), 0.0, 0.5)(features).tolist() == [6, 10, 1, 2]
    assert Fit((2.0,), 0.5, 0.5)(np.ones((1, 1), dtype=np.float32)).tolist() == [2]


def test_held_out_scores_come_from_the_other_groups_alone() -> None:
    groups = [planted(12, (1.0, 0.5), seed=seed) for seed in range(3)]
    scores = held_out(groups)
    for i, group in enumerate(groups):
        others = fit_weights([example for j, other in enumerate(groups) if j != i for example in other])
        for example, score in zip(group, scores[i], strict=True):
            np.testing.assert_array_equal(score, others(example.features))


@pytest.mark.slow
def test_nothing_of_a_group_leaks_into_its_own_scores() -> None:
    """Labels that mean nothing can be learned by heart, and are worth nothing on a history left out."""
    rng = np.random.default_rng(5)

    def noise() -> list[Example]:
        # The evidence of all questions of a group is one segment, which has an own feature: a fit on it is perfect.
        place = int(rng.integers(SEGMENTS))
        features = rng.normal(size=(20, SEGMENTS)).astype(np.float32)
        return [Example(features, (place,))] * 3

    groups = [noise() for _ in range(12)]
    by_heart = [
        area_under_curve(fit_weights(group, ridge=0.01)(group[0].features), group[0].evidence) for group in groups
    ]
    assert np.mean(by_heart) > 0.95
    left_out = auc_left_out(groups)
    assert left_out is not None
    assert 0.3 < left_out < 0.7


def test_relabelling_a_group_changes_the_scores_of_the_others_only() -> None:
    groups = [planted(10, (1.0, 0.5), seed=seed) for seed in range(3)]
    before = held_out(groups)
    relabelled = [Example(example.features, ((example.evidence[0] + 7) % SEGMENTS,)) for example in groups[1]]
    after = held_out([groups[0], relabelled, groups[2]])
    np.testing.assert_array_equal(before[1], after[1])
    assert np.abs(before[0][0] - after[0][0]).max() > 1e-3
    assert np.abs(before[2][0] - after[2][0]).max() > 1e-3


def test_a_single_group_has_nothing_left_out() -> None:
    groups = [planted(4, (1.0,))]
    assert auc_left_out(groups) is None
    with pytest.raises(InputError, match="1 histories: expected at least two"):
        held_out(groups)


@pytest.mark.parametrize(
    ("scores", "evidence", "area"),
    [
        ([0, 1, 2, 3], [3], 1.0),
        ([0, 1, 2, 3], [0], 0.0),
        ([0, 1, 2, 3], [1], 1 / 3),
        ([1, 1, 1, 1], [2], 0.5),
        ([0, 1, 1, 2], [1], (1 + 0.5) / 3),
        ([0, 1, 2, 3], [0, 3], 0.5),
        ([5, 1], [0, 1], 1.0),
    ],
)
def test_area_under_curve(scores: list[float], evidence: list[int], area: float) -> None:
    assert area_under_curve(np.array(scores, dtype=np.float32), evidence) == pytest.approx(area)
