import math

import numpy as np
import pytest

from penchant.errors import InputError
from penchant.history.records import History, Request
from penchant.marking.bm25 import bm25
from tests.marking.cases import history_of, whole_records

TEXTS = [
    "I went hiking in the Alps with Ana",
    "The soup needs more salt",
    "We hiked for hours and hours",
    "Ana likes soup, soup and soup",
    "",
]
HISTORY = history_of([*TEXTS[:4], "🎉 …"])
SEGMENTS = whole_records(HISTORY)


def test_scores_follow_the_formula() -> None:
    """BM25 (lucene form, k1 0.9, b 0.4) written out by hand over the stems of the four texts."""
    docs = [["went", "hike", "alp", "ana"], ["soup", "need", "salt"], ["hike", "hour", "hour"]]
    docs += [["ana", "like", "soup", "soup", "soup"], []]
    mean = sum(map(len, docs)) / len(docs)

    def score(doc: list[str], term: str) -> float:
        having = sum(term in d for d in docs)
        idf = math.log(1 + (len(docs) - having + 0.5) / (having + 0.5))
        count = doc.count(term)
        return idf * count / (count + 0.9 * (1 - 0.4 + 0.4 * len(doc) / mean))

    expected = [score(doc, "ana") + score(doc, "soup") for doc in docs]
    marks = bm25("en")(HISTORY, Request("Ana's soups"), SEGMENTS)
    np.testing.assert_allclose(marks.scores, expected, rtol=1e-5)


def test_stems_meet_and_the_language_is_guessed() -> None:
    marks = bm25()(HISTORY, Request("When were they hiking?"), SEGMENTS)
    assert set(marks.ranked()[:2].tolist()) == {0, 2}
    plain = bm25("none")(HISTORY, Request("When were they hiking?"), SEGMENTS)
    assert plain.scores.astype(bool).tolist() == [True, False, False, False, False]


@pytest.mark.parametrize("query", ["zebra", "the", "🎉", "\x00"])
def test_a_request_without_a_known_term_ties_in_time_order(query: str) -> None:
    marks = bm25()(HISTORY, Request(query), SEGMENTS)
    assert marks.scores.tolist() == [0.0] * 5
    assert marks.ranked().tolist() == [0, 1, 2, 3, 4]


def test_histories_without_words_or_segments() -> None:
    wordless = history_of(["…", "🎉"])
    assert bm25()(wordless, Request("soup"), whole_records(wordless)).scores.tolist() == [0.0, 0.0]
    assert bm25()(History([]), Request("soup"), []).scores.shape == (0,)


def test_a_second_history_does_not_meet_the_index_of_the_first() -> None:
    marker = bm25("en")
    other = history_of(["salt", "soup", "bread", "water", "wine"])
    first = marker(HISTORY, Request("soup"), SEGMENTS).scores
    assert marker(other, Request("soup"), whole_records(other)).ranked()[0] == 1
    np.testing.assert_array_equal(marker(HISTORY, Request("soup"), SEGMENTS).scores, first)


def test_an_unknown_language_is_refused_at_once() -> None:
    with pytest.raises(InputError, match="'xx'"):
        bm25("xx")
