"""Similarities: a logistic of the best sentence, and what of a long question is marked with."""

from __future__ import annotations

import numpy as np
import pytest

from penchant.conversation.similarity import PlattScaling, exchange_scores, scaling_for, shortened_question
from tests.conversation.dialogues import model
from tests.index.cases import calibration_of, lens_of


def test_logistic_of_the_score() -> None:
    found = PlattScaling(2.0, -3.0)(np.asarray([1.5, 0.0, 2.0, 1e6, -1e6], dtype=np.float32))
    assert found[:3] == pytest.approx([0.5, 0.04742587, 0.7310586])
    assert found[3] == pytest.approx(1.0) and found[4] == pytest.approx(0.0) and np.isfinite(found).all()


def test_best_sentence_of_each_exchange() -> None:
    scores = np.asarray([1, 5, -2, -3, 0.5], dtype=np.float32)
    assert exchange_scores(scores, np.asarray([0, 2, 4])).tolist() == [5, -2, 0.5]
    assert exchange_scores(scores[:0], np.zeros(0, np.int64)).tolist() == []


def test_a_model_without_a_fit_has_a_similarity_all_the_same() -> None:
    scaling = scaling_for(calibration_of(lens_of()))
    assert scaling.slope > 0 > scaling.offset


def test_of_a_long_question_the_ends_are_marked_with() -> None:
    loaded = model()
    assert shortened_question(loaded, "What now?") == "What now?"
    question = "Where is it? " + "walking by the sea " * 200 + "Who wrote the letters?"
    short = shortened_question(loaded, question)
    assert len(loaded.tokenizer(short)["input_ids"]) <= loaded.window // 2 + 2
    assert short.startswith("Where is it?") and short.endswith("Who wrote the letters?")
