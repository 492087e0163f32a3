"""A record that a later one may contradict doesn't reach a profile without it."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.compression.budget import count_tokens
from penchant.compression.extractive import extractive
from penchant.compression.updates import updates, updates_first, without_outdated
from penchant.history.records import History, Record, Request
from tests.compression.cases import TOKENIZERS, history_of, marks_of, tokenizer_of, whole_records

REQUEST = Request("What now?")
OTHERS = (
    "Pears from the market, four for one.",
    "The heating makes a noise like a kettle.",
    "Wrote to the council about the lamp.",
    "A film about a lighthouse; too long.",
    "Snow on the hills this morning.",
)
PAIRS = (
    ("My dentist is Dr. Lee.", "Changed to Dr. Voss, the dentist near the bridge."),
    ("The choir meets on Tuesdays.", "The choir meets on Thursdays now."),
    ("Der Chor probt dienstags im Pfarrsaal.", "Die Chorproben sind ab jetzt donnerstags."),  # a compound
    ("歯医者はリー先生です。", "歯医者はボス先生に変わりました。"),
)


def test_the_most_similar_later_record_may_be_an_update() -> None:
    history = history_of(
        "My dentist is Dr. Voss.", "My dentist is Dr. Lee.", *OTHERS, "My dentist is Dr. Kim.", dated=False
    )
    first, second, *others, last = whole_records(history)
    assert updates([first, second, last, *others]).tolist() == [2, 2, -1, *[-1] * len(OTHERS)]
    assert updates([last, *others, second, first]).tolist() == [-1, *[-1] * len(OTHERS), 0, 0]
    assert updates([first, last], alike=1.1).tolist() == [-1, -1]
    assert updates([]).tolist() == []
    # One that the request doesn't ask for as well is about something else.
    assert updates([first, *others, last]).tolist() == [-1] * (2 + len(OTHERS))
    # What is known to be replaced needs no words in common, and no good mark.
    known = {first.record_id: others[-1].record_id, "gone": "never"}
    assert updates([first, *others], known)[0] == len(OTHERS)


def test_sentences_of_one_record_do_not_update_each_other() -> None:
    history = history_of("The choir meets on Tuesdays. The choir meets on Thursdays.", *OTHERS, dated=False)
    body = history[0].body
    segments = [part for part in whole_records(history) if part.record]
    first, second = (type(segments[0])(0, history[0].id, a, b, body[a:b]) for a, b in ((0, 28), (29, len(body))))
    assert updates([first, second, *segments]).tolist() == [-1] * (2 + len(OTHERS))


def test_updates_come_first_and_nothing_stays_without_its_update() -> None:
    newer = np.array([-1, 3, -1, 4, -1])
    assert updates_first(newer).tolist() == [0, 4, 3, 1, 2]
    assert without_outdated([0, 1, 3], newer) == {0}
    assert without_outdated([1, 3, 4], newer) == {1, 3, 4}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("name", TOKENIZERS)
def test_of_two_records_on_one_subject_never_the_older_alone(name: str, pair: tuple[str, str]) -> None:
    tokenizer = tokenizer_of(name)
    history = history_of(*OTHERS[:2], pair[0], *OTHERS[2:4], pair[1], *OTHERS[4:], dated=False)
    # The marker prefers the older one by far.
    marks = marks_of(whole_records(history), [0.1, 0.0, 9.0, 0.2, 0.0, 1.0, 0.0])
    compress = extractive(tokenizer)
    seen = set()
    for budget in range(1, 3 * count_tokens(tokenizer, "\n".join(pair))):
        taken = frozenset(segment.record for segment in compress(history, REQUEST, marks, budget).segments) & {2, 5}
        assert taken != {2}
        seen.add(taken)
    assert seen >= {frozenset({5}), frozenset({2, 5})}


WORDS = ["sea", "walk", "choir", "Tuesday", "dentist", "Lee", "Voss", "garden"]
words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5)
records = st.lists(st.builds(lambda some: Record(" ".join(some)), words), min_size=1, max_size=14)


@settings(max_examples=150, deadline=None)
@given(records, st.integers(1, 80), st.integers(0, 2**32 - 1), st.booleans())
def test_any_profile_has_the_updates_of_what_it_has(made: list[Record], budget: int, seed: int, dates: bool) -> None:
    tokenizer = tokenizer_of("bytes")
    history = History([Record(one.text, str(at), when=datetime(2024, 1, 1 + at)) for at, one in enumerate(made)])
    segments = whole_records(history)
    scores = np.random.default_rng(seed).normal(size=len(segments))
    profile = extractive(tokenizer, dates=dates)(history, REQUEST, marks_of(segments, scores.tolist()), budget)
    assert profile.tokens == count_tokens(tokenizer, profile.text) <= budget
    assert profile.tokens or budget < 5
    taken = {segment.record for segment in profile.segments}
    order = sorted(range(len(segments)), key=lambda at: -scores[at])
    newer = updates([segments[at] for at in order])
    wanted = {order[at]: order[by] for at, by in enumerate(newer) if by >= 0}
    assert {wanted[at] for at in taken if at in wanted} <= taken


def test_updates_in_a_circle_are_ordered_once() -> None:
    assert sorted(updates_first(np.array([1, 2, 0, -1]))) == [0, 1, 2, 3]
    assert without_outdated([0, 1], np.array([1, 0])) == {0, 1}
