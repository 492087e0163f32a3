import numpy as np
import pytest

from penchant.errors import InputError
from penchant.lens.weights import Example, area_under_curve, fit_weights, held_out


def examples(count: int, seed: int, weights: list[float], segments: int = 40) -> list[Example]:
    """Evidence is what weighted scores, and noise, put first."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        features = rng.standard_normal((len(weights), segments)).astype(np.float32)
        total = np.float32(weights) @ features + rng.gumbel(size=segments)
        made.append(Example(features, (int(total.argmax()),)))
    return made


def test_the_weights_that_made_the_evidence_are_found() -> None:
    truth = [1.5, 0.0, 0.75]
    made = examples(120, 0, truth)
    fitted = fit_weights(made, ridge=0.0)
    np.testing.assert_allclose(fitted.weights, truth, atol=0.3)
    assert abs(fitted.previous) < 0.15
    assert abs(fitted.following) < 0.15
    assert fit_weights(made, ridge=0.0) == fitted
    held = fit_weights(made, ridge=1.0)
    assert 0 < held.weights[0] < 0.8 * fitted.weights[0]


def test_the_share_of_a_neighbour_is_found() -> None:
    rng = np.random.default_rng(1)
    made = []
    for _ in range(150):
        features = rng.standard_normal((1, 30)).astype(np.float32)
        total = 2 * features[0]
        total[1:] += 0.8 * 2 * features[0, :-1]  # what comes before matters
        made.append(Example(features, (int((total + rng.gumbel(size=30)).argmax()),)))
    fitted = fit_weights(made, ridge=0.0)
    assert fitted.previous == pytest.approx(0.8, abs=0.25)
    assert fitted.following == pytest.approx(0.0, abs=0.2)


def test_a_fit_scores_as_it_was_fitted() -> None:
    fitted = fit_weights(examples(20, 2, [1.0, 0.5]))
    features = np.random.default_rng(3).standard_normal((2, 5)).astype(np.float32)
    plain = np.float32(fitted.weights) @ features
    expected = plain.copy()
    for i in range(5):
        expected[i] += fitted.previous * (plain[i - 1] if i else 0) + fitted.following * (plain[i + 1] if i < 4 else 0)
    np.testing.assert_allclose(fitted(features), expected, rtol=1e-5)


def test_held_out_scores_never_see_their_own_group() -> None:
    one, two = examples(12, 4, [1.0, 0.0]), examples(12, 5, [0.0, 1.0])
    scored = held_out([one, two])
    on_two, on_one = fit_weights(two), fit_weights(one)
    for example, scores in zip(one, scored[0], strict=True):
        np.testing.assert_array_equal(scores, on_two(example.features))
    for example, scores in zip(two, scored[1], strict=True):
        np.testing.assert_array_equal(scores, on_one(example.features))
    with pytest.raises(InputError, match="1 histories: expected at least two"):
        held_out([one])


def test_area_under_curve_counts_pairs() -> None:
    rng = np.random.default_rng(6)
    for _ in range(20):
        scores = rng.integers(0, 5, size=12).astype(np.float32)  # many ties
        evidence = tuple(int(i) for i in rng.choice(12, size=3, replace=False))
        others = [i for i in range(12) if i not in evidence]
        pairs = [(scores[p] > scores[n]) + 0.5 * (scores[p] == scores[n]) for p in evidence for n in others]
        assert area_under_curve(scores, evidence) == pytest.approx(np.mean(pairs))
    assert area_under_curve(np.zeros(2, np.float32), (0, 1)) == 1.0
