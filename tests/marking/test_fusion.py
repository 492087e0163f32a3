from collections.abc import Sequence

import numpy as np
import pytest

from penchant.errors import InputError
from penchant.history.records import History, Request, Segment
from penchant.marking.fusion import fusion
from penchant.marking.marks import Marker, Marks
from penchant.marking.recency import recency
from tests.marking.cases import history_of, whole_records

HISTORY = history_of(["a film", "by the sea", "peanuts", "letters"])
ASKED = Request("What?")


def fixed(scores: Sequence[float], name: str = "fixed", **facts: object) -> Marker:
    def mark(history: History, request: Request, segments: Sequence[Segment]) -> Marks:
        return Marks(tuple(segments), np.array(scores, dtype=np.float32), name, **facts)  # type: ignore[arg-type]

    return mark


A = [1.0, 2.0, 3.0, 6.0]
"""Mean 3, variance 3.5."""
B = [10.0, -10.0, 10.0, -10.0]
"""Mean 0, deviation 10."""


def test_the_weighted_sum_by_hand() -> None:
    marks = fusion([(fixed(A), 2.0), (fixed(B), 0.5)])(HISTORY, ASKED, whole_records(HISTORY))
    unit = 2.0 / np.sqrt(3.5)
    expected = [-2 * unit + 0.5, -unit - 0.5, 0.5, 3 * unit - 0.5]
    np.testing.assert_allclose(marks.scores, expected, rtol=1e-6)
    assert marks.marker == "fusion"
    assert marks.segments == tuple(whole_records(HISTORY))


def test_neighbours_share_the_sum() -> None:
    mark = fusion([(fixed(B), 1.0)], previous=0.5, following=0.25, name="mine")
    marks = mark(HISTORY, ASKED, whole_records(HISTORY))
    np.testing.assert_allclose(marks.scores, [0.75, -0.25, 0.25, -0.5], rtol=1e-6)
    assert marks.marker == "mine"


def test_the_scale_of_a_part_does_not_matter_and_a_constant_part_says_nothing() -> None:
    segments = whole_records(HISTORY)
    one = fusion([(fixed(A), 1.0), (fixed(B), 1.0)])(HISTORY, ASKED, segments).scores
    large = fusion([(fixed([1e4 * a - 7 for a in A]), 1.0), (fixed(B), 1.0)])(HISTORY, ASKED, segments).scores
    np.testing.assert_allclose(one, large, atol=1e-5)
    silent = fusion([(fixed(A), 1.0), (fixed([0.3] * 4), 100.0)])(HISTORY, ASKED, segments).scores
    np.testing.assert_allclose(silent, fusion([(fixed(A), 1.0)])(HISTORY, ASKED, segments).scores, atol=1e-6)


def test_what_the_parts_report() -> None:
    lexical = fixed(A, "bm25", seconds={"encode": 1.0, "mark": 0.5}, history_tokens=900)
    reading = fixed(
        B,
        "attention",
        heads=((3, 1),),
        layers_run=4,
        calibration="tiny-1",
        history_tokens=80,
        tokens_fed=70,
        seconds={"encode": 2.0, "other": 0.25},
    )
    dense = fixed(A, "dense", tokens_fed=5)
    for parts in ([lexical, reading, dense], [dense, reading, lexical]):
        marks = fusion([(part, 1.0) for part in parts])(HISTORY, ASKED, whole_records(HISTORY))
        assert (marks.heads, marks.layers_run, marks.calibration) == (((3, 1),), 4, "tiny-1")
        assert (marks.history_tokens, marks.tokens_fed) == (80, 75)
        assert marks.seconds == {"encode": 3.0, "mark": 0.5, "other": 0.25}


def test_empty_and_single() -> None:
    nothing = History([])
    assert fusion([(fixed([]), 1.0), (recency(), 1.0)])(nothing, ASKED, []).scores.shape == (0,)
    one = history_of(["a film"])
    assert fusion([(fixed([5.0]), 1.0)], previous=1.0)(one, ASKED, whole_records(one)).scores.tolist() == [0.0]
    with pytest.raises(InputError, match="nothing to fuse"):
        fusion([])
