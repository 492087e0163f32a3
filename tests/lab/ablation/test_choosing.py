import numpy as np
import pytest

from penchant.errors import InputError
from penchant.index.score import standardise
from penchant.lens.conditional_logit import Example, area_under_curve
from penchant_lab.ablation.axes import AXES, DEFAULT, PUBLISHED, AblationConfig, by_encoding, settings
from penchant_lab.ablation.choosing import aucs, choose

LAYERS, HEADS, SEGMENTS = 6, 4, 30
GOOD = {(4, 1): 3.0, (2, 3): 1.5}


def _examples(count: int = 40, seed: int = 0) -> list[Example]:
    """All heads draw noise; those of GOOD see the evidence as well."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        scores = rng.normal(size=(LAYERS * HEADS, SEGMENTS)).astype(np.float32)
        evidence = int(rng.integers(SEGMENTS))
        for (layer, head), strength in GOOD.items():
            scores[layer * HEADS + head, evidence] += strength
        out.append(Example(standardise(scores), (evidence,)))
    return out


@pytest.mark.parametrize(
    ("changes", "heads"),
    [
        ({"heads": "best"}, {(4, 1)}),
        ({"heads": "best", "layers": "1/2"}, {(2, 3)}),
        ({"heads": "layer"}, {(4, head) for head in range(HEADS)}),
        ({"heads": "layer", "layers": "1/2"}, {(2, head) for head in range(HEADS)}),
        ({"heads": "all", "layers": "1/3"}, {(layer, head) for layer in range(2) for head in range(HEADS)}),
    ],
)
def test_sets_of_heads(changes: dict[str, str], heads: set[tuple[int, int]]) -> None:
    assert set(choose(AblationConfig(**changes), _examples(), HEADS).heads) == heads


def test_six_of_sixteen_by_weight() -> None:
    examples = _examples()
    six, sixteen = (choose(AblationConfig(heads=heads), examples, HEADS) for heads in ("six", "sixteen"))
    assert (len(six.heads), len(sixteen.heads)) == (6, 16)
    assert set(GOOD) <= set(six.heads) <= set(sixteen.heads)
    best = six.heads[int(np.argmax(six.fit.weights))]
    assert best == (4, 1)
    unseen = _examples(seed=1)
    means = {
        name: np.mean([area_under_curve(choice(e.features), e.evidence) for e in unseen])
        for name, choice in {"six": six, "all": choose(AblationConfig(heads="all"), examples, HEADS)}.items()
    }
    assert means["six"] > means["all"] + 0.05


def test_without_pooling_neighbours_get_nothing() -> None:
    on, off = (choose(AblationConfig(pooling=pooling), _examples(), HEADS) for pooling in ("on", "off"))
    assert (off.fit.previous, off.fit.following) == (0.0, 0.0)
    assert (on.fit.previous, on.fit.following) != (0.0, 0.0)
    assert off.fit.weights == on.fit.weights


def test_auc_of_every_head_at_once() -> None:
    scores = np.random.default_rng(0).integers(0, 4, size=(5, 12)).astype(np.float32)  # with ties
    expected = [area_under_curve(row, (2, 7)) for row in scores]
    np.testing.assert_allclose(aucs(scores, (2, 7)), expected, rtol=1e-6)


def test_one_at_a_time() -> None:
    found = settings("one-at-a-time")
    assert found[0] == DEFAULT
    assert found[-1] == PUBLISHED
    assert len(found) == len(set(found))
    singles = sum(len(values) - 1 for values in AXES.values())
    assert len(found) == 1 + singles + 2 + 1  # two more pairs of encoding and request
    assert {str(one) for one in settings("one-at-a-time", ["pooling", "heads"])} == {
        "default",
        "pooling off",
        *(f"heads {kind}" for kind in ("best", "sixteen", "layer", "all")),
    }


def test_every_combination() -> None:
    found = settings("full", ["rows", "encoding", "request"])
    assert found[0] == DEFAULT
    assert len(set(found)) == 2 * 3 * 2
    assert {one.heads for one in found} == {"six"}


def test_axes_that_are_not_there() -> None:
    with pytest.raises(InputError, match="no axis 'layer': expected some of encoding"):
        settings("full", ["layer"])
    with pytest.raises(InputError, match="no axes"):
        settings("full", [])


def test_one_encoding_serves_all_that_share_it() -> None:
    groups = by_encoding(settings("one-at-a-time"))
    names = [tuple(encoding) for encoding, _ in groups]
    assert names[0] == ("turn", "record")
    assert names[-1] == ("turn", "record")  # what is costly comes last, by itself
    assert list(groups[-1][1]) == ["joint"]
    assert names.count(("turn", "blocks")) == 1
    assert sum(len(some) for _, requests in groups for some in requests.values()) == len(settings("one-at-a-time"))
