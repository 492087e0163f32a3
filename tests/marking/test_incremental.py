"""What is kept of a growing history is what would be made anew, and only new segments are added."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.history.records import History, Record, Request, Segment
from penchant.index.pool import VectorPool
from penchant.marking.bm25 import bm25, bm25_over, term_indexes
from penchant.marking.dense import Embeddings, dense, dense_over
from penchant.marking.incremental import IncrementalCache
from penchant.text.bm25 import GrowingIndex, TextIndex
from tests.marking.cases import whole_records

ENGLISH = ("the soup", "a hike in the Alps", "soup, soup and salt", "where was Ana?", "…")
GERMAN = ("die Suppe und der Berg", "wir gehen nicht in die Berge", "das ist eine Suppe")


def history_of(texts: list[str], user: str = "ann") -> History:
    return History([Record(text, id=str(at)) for at, text in enumerate(texts)], user)


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.sampled_from((*ENGLISH, *GERMAN)), max_size=4), max_size=6), st.sampled_from(ENGLISH + GERMAN)
)
def test_a_growing_index_scores_as_one_made_at_once(parts: list[list[str]], query: str) -> None:
    growing = GrowingIndex()
    texts: list[str] = []
    for part in parts:
        growing.add(part)
        texts += part
        np.testing.assert_allclose(growing.scores(query), TextIndex(texts, None).scores(query), rtol=1e-4, atol=1e-6)


def test_the_language_settles_after_many_words() -> None:
    growing = GrowingIndex()
    growing.add(["the soup was in the bowl and it was hot"] * 2500)
    growing.add([GERMAN[0]] * 30_000)
    assert growing.scores("soups")[0] > 0  # English stems, though most of it is German by now


@pytest.mark.parametrize("query", ["soup", "Where was Ana?"])
def test_shared_indexes_mark_as_those_of_one_marker(query: str) -> None:
    embed = Embeddings()
    pairs = [(bm25_over(term_indexes()), bm25()), (dense_over(embed, VectorPool(embed)), dense())]
    for end in (1, 3, 5, 2, 5):
        history = history_of(list(ENGLISH)[:end])
        segments = whole_records(history)
        for growing, usual in pairs:
            ours, theirs = (marker(history, Request(query), segments) for marker in (growing, usual))
            np.testing.assert_allclose(ours.scores, theirs.scores, rtol=1e-4, atol=1e-5)
            assert ours.history_tokens == theirs.history_tokens
    empty = dense_over(embed, VectorPool(embed))(History([]), Request(query), [])
    assert empty.scores.shape == (0,)


def test_only_new_segments_are_added_and_users_do_not_mix() -> None:
    added: list[str] = []
    kept: IncrementalCache[list[str]] = IncrementalCache(
        list, lambda made, new: [(made.append(s.text), added.append(s.text)) for s in new] and None
    )
    segments = [Segment(at, str(at), 0, 1, text) for at, text in enumerate("abcd")]
    ann, bob, nobody = (History([], user) for user in ("ann", "bob", ""))
    assert kept.of(ann, segments[:2]) == ["a", "b"]
    assert kept.of(ann, segments) == ["a", "b", "c", "d"] and added == ["a", "b", "c", "d"]
    assert kept.of(bob, segments[:1]) == ["a"]
    assert kept.of(ann, segments[1:]) == ["b", "c", "d"]  # not a continuation: made anew
    kept.close("ann")
    added.clear()
    kept.of(ann, segments[1:])
    assert added == ["b", "c", "d"]
    other = History([])
    kept.of(nobody, segments)
    kept.of(other, segments)  # without a user too: two histories are two
    kept.of(nobody, segments)
    assert added == ["b", "c", "d", *"abcd", *"abcd"]
