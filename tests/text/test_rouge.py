"""ROUGE-L as the package has it for English, and for scripts that it passes over."""

import pytest
from rouge_score.rouge_scorer import RougeScorer

from penchant.text.rouge import rouge_l

TEXTS = [
    ("A study of sea-shells, in 3 parts", "In three parts: a study of the sea"),
    ("snake_case and CamelCase 42", "Snake case and camelcase"),
    ("same words", "same words"),
    ("nothing", "in common"),
    ("", "x"),
]


@pytest.mark.parametrize(("truth", "text"), TEXTS)
def test_english_is_scored_as_the_package_does(truth, text):
    theirs = RougeScorer(["rougeL"]).score(truth, text)["rougeL"].fmeasure
    assert rouge_l(truth, text) == pytest.approx(theirs)


def test_a_figure_by_hand():
    assert rouge_l("a b c d", "a x c") == pytest.approx(2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4))


@pytest.mark.parametrize("text", ["你好世界", "привет мир", "été à Paris", "สวัสดี", "こんにちは世界"])
def test_other_scripts_have_words_too(text):
    assert rouge_l(text, text) == 1
    assert rouge_l(text, "something else") == 0
    assert 0 < rouge_l("你好世界", "你们好") < 1
