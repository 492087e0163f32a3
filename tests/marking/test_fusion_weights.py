"""Fusion weights, learned on labelled histories."""

import dataclasses

import numpy as np
import pytest

from penchant.errors import ModelError
from penchant.history.records import History, Record, Request
from penchant.index.discovery import whole_records
from penchant.index.encode import Encoder
from penchant.index.pool import IndexPool
from penchant.index.score import standardise
from penchant.lens.conditional_logit import Example, fit_weights
from penchant.lens.labelled import LabelledHistory, Question
from penchant.lens.synthetic import needle_histories
from penchant.marking import fusion_weights
from penchant.marking.attention import attention
from penchant.marking.bm25 import bm25
from penchant.marking.fusion_weights import fit_fusion
from penchant.marking.marks import Marker
from penchant.marking.registry import make_marker
from penchant.marking.resources import Resources
from tests.index.cases import calibration_of, lens_of

LABELLED = needle_histories(2, 30)


@pytest.fixture
def no_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    def dense() -> Marker:
        raise ModelError("not installed")

    monkeypatch.setattr(fusion_weights, "dense", dense)
    monkeypatch.setattr("penchant.marking.fusion.dense", lambda resources: dense())


def test_the_weights_are_those_of_a_fit_on_the_markers_scores(no_dense: None) -> None:
    lens = lens_of()
    calibration = calibration_of(lens)
    fitted = fit_fusion(lens, calibration, LABELLED)
    assert dataclasses.replace(fitted, fusion={}, scores=calibration.scores) == calibration  # nothing else is touched
    assert set(fitted.fusion) == {"attention+bm25"}
    markers = attention(IndexPool(Encoder(lens, calibration)), neighbours=False), bm25()
    examples = []
    for one in LABELLED:
        segments = whole_records(one)
        for question in one.questions:
            scores = [standardise(marker(one.history, question.request, segments).scores) for marker in markers]
            (name,) = question.evidence
            examples.append(Example(np.stack(scores), (next(s.record for s in segments if s.record_id == name),)))
    expected = fit_weights(examples)
    found = fitted.fusion["attention+bm25"]
    assert (found["attention"], found["bm25"]) == pytest.approx(expected.weights, abs=1e-3)
    assert (found["previous"], found["following"]) == pytest.approx((expected.previous, expected.following), abs=1e-3)


def test_bm25_is_trusted_more_than_random_heads(no_dense: None) -> None:
    names = ["walrus", "cinema", "granite", "saffron", "violin", "kayak", "lantern", "turbine", "meadow", "compass"]
    labelled = []
    for user in range(3):
        history = History([Record(f"{name} {name[::-1]} number {user}", id=name) for name in names], f"u{user}")
        questions = [Question(Request(f"Which {name} was it?"), "", (name,)) for name in names[user::3]]
        labelled.append(LabelledHistory(history, tuple(questions)))
    lens = lens_of()
    fitted = fit_fusion(lens, calibration_of(lens), labelled)
    weights = fitted.fusion["attention+bm25"]
    assert weights["bm25"] > 2 * abs(weights["attention"])
    assert fitted.scores["auc_fusion_left_out"]["attention+bm25"] > 0.95


def test_the_default_marker_uses_what_was_fitted(no_dense: None) -> None:
    lens = lens_of()
    calibration = fit_fusion(lens, calibration_of(lens), LABELLED)
    history, question = LABELLED[0].history, LABELLED[0].questions[0]
    segments = whole_records(LABELLED[0])
    marks = make_marker("fusion", Resources(lens.loaded, calibration=calibration))(history, question.request, segments)
    parts = attention(IndexPool(Encoder(lens, calibration)), neighbours=False), bm25()
    weights = calibration.fusion["attention+bm25"]
    features = np.stack([standardise(part(history, question.request, segments).scores) for part in parts])
    total = weights["attention"] * features[0] + weights["bm25"] * features[1]
    expected = total.copy()
    expected[1:] += weights["previous"] * total[:-1]
    expected[:-1] += weights["following"] * total[1:]
    np.testing.assert_allclose(marks.scores, expected, atol=1e-4)


def test_progress_and_a_single_history(no_dense: None) -> None:
    lens = lens_of()
    seen: list[tuple[int, int | None]] = []
    one: list[LabelledHistory] = LABELLED[:1]
    fitted = fit_fusion(lens, calibration_of(lens), one, lambda step, done, total: seen.append((done, total)))
    count = len(one[0].questions)
    assert seen == [(i, count) for i in range(1, count + 1)]
    assert fitted.scores["auc_fusion_left_out"] == {"attention+bm25": None}


@pytest.mark.slow
def test_with_the_dense_encoder_both_combinations_are_fitted() -> None:
    try:
        fusion_weights.dense()
    except ModelError as error:
        pytest.skip(str(error))
    lens = lens_of()
    fitted = fit_fusion(lens, calibration_of(lens), LABELLED[:2])
    assert set(fitted.fusion) == {"attention+bm25", "attention+bm25+dense"}
    assert set(fitted.fusion["attention+bm25+dense"]) == {"attention", "bm25", "dense", "previous", "following"}
    left_out = fitted.scores["auc_fusion_left_out"]
    assert left_out["attention+bm25+dense"] > left_out["attention+bm25"] - 0.05
