"""Figures of one item, by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from penchant.history.segmentation import segment
from penchant_lab.bench.items import Item
from penchant_lab.measures.judging import Found, evidence_found, judge
from penchant_lab.methods.method import Notes, Reply
from tests.lab.cases import TASK, items

CHOICES = replace(TASK, metrics=("accuracy",), max_new_tokens=0)


def choice(answer: str, **more: object) -> Item:
    first = items()[0]
    return Item("a", first.history, first.request, answer, ("red", "dark blue"), **more)  # type: ignore[arg-type]


def test_a_text_is_judged_by_nats_a_token_and_by_what_was_generated() -> None:
    judged = judge(items()[0], Reply((6.0,), (3,), "the sea"), TASK)
    assert judged.loss == 2.0
    assert judged.metrics["f1"] == pytest.approx(2 / 3)  # without the article: 1 of 1 word, and 1 of 2
    assert (judged.predicted, judged.true) == (None, None)


def test_choices_share_a_probability_of_one() -> None:
    reply = Reply((1.0, 2.0), (1, 4))
    right, wrong = judge(choice("red"), reply, CHOICES), judge(choice("dark blue"), reply, CHOICES)
    assert right.loss == pytest.approx(math.log(1 + math.exp(-1)))
    assert wrong.loss == pytest.approx(1 + math.log(1 + math.exp(-1)))
    assert (right.predicted, right.true, right.metrics["accuracy"]) == (0.0, 0.0, 1.0)
    assert (wrong.predicted, wrong.true, wrong.metrics["accuracy"]) == (0.0, 1.0, 0.0)


def test_a_task_may_score_choices_by_their_mean_token() -> None:
    reply = Reply((1.0, 2.0), (1, 4))  # 1 a token against 0.5
    judged = judge(choice("dark blue"), reply, replace(CHOICES, scoring="mean"))
    assert judged.loss == pytest.approx(math.log(1 + math.exp(-0.5)))
    assert judged.metrics["accuracy"] == 1.0


def test_choices_that_stand_for_numbers_predict_their_expectation() -> None:
    judged = judge(choice("red", values=(1.0, 5.0), value=4.5), Reply((math.log(4), math.log(4 / 3)), (1, 1)), CHOICES)
    assert (judged.predicted, judged.true) == (pytest.approx(4.0), 4.5)
    assert judged.loss == pytest.approx(math.log(4))


def test_evidence_in_the_notes() -> None:
    item = replace(items()[0], evidence=("r0", "r2"))
    segments = segment(item.history, "record")
    scores = np.array([4, 3, 1, 2], dtype=np.float32)
    taken = evidence_found(item, Notes("x", segments=segments[:3], scores=scores), segments)
    assert taken == Found(1.0, pytest.approx(2 / 3), 0.5, 1.0)
    # By scores and costs: r0 (3), then r1 doesn't fit, r3 (2) does, and nothing is left for r2.
    ranked = evidence_found(item, Notes("x", segments=segments, scores=scores), segments, ([3, 9, 1, 2], 5))
    assert (ranked.recall, ranked.precision) == (0.5, None)
    assert evidence_found(item, Notes("x"), segments) == Found()
    assert evidence_found(replace(item, evidence=()), Notes("x", segments=segments), segments) == Found()
