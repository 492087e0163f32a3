"""Notes about the user: statements in the third person, other records as they are, never over the budget."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from penchant.compression.layout import lay_out
from penchant.compression.profile import Profile
from penchant.conversation.about_user import about_user
from penchant.conversation.facts.third_person import third_person
from penchant.history.records import History, Record, Request
from penchant.history.segmentation import segment

REQUEST = Request("When did I buy the bicycle?")
WHEN = datetime(2026, 5, 6, tzinfo=UTC)
HISTORY = History(
    [
        Record("I live in Bergen.", id="a", when=WHEN, kind="said"),
        Record("My flight leaves tomorrow.", id="b", when=WHEN, kind="said"),
        Record("Bought a red bicycle.", id="c", when=WHEN),
    ]
)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("I'm Anna and I live in Bergen.", "The user is Anna and the user lives in Bergen."),
        ("i don't eat meat", "The user doesn't eat meat"),
        ("I usually go to bed at nine.", "The user usually goes to bed at nine."),
        ("I moved to Leeds, where I study law.", "The user moved to Leeds, where the user studies law."),
        ("My wife and I live in Rome.", "The user's wife and the user live in Rome."),
        ("My son is six and my dog is old.", "The user's son is six and their dog is old."),
        ("We have two cats.", "They have two cats."),
        ('My mother says "I love my son".', 'The user\'s mother says "I love my son".'),
        ("I can't drink milk.", "The user can't drink milk."),
        ("Ich wohne in Bergen.", 'The user said: "Ich wohne in Bergen."'),
        ("Call me Max.", 'The user said: "Call me Max."'),
    ],
)
def test_third_person(said: str, expected: str) -> None:
    assert third_person(said) == expected


def profile(budget: int, text: str | None = None) -> Profile:
    segments = segment(HISTORY, "record")
    text = lay_out(HISTORY, segments) if text is None else text
    return Profile(text, len(text), budget, len(text), tuple(segments), (3.0, 2.0, 1.0), "m", "extractive")


def test_statements_are_about_the_user_and_records_stay_verbatim() -> None:
    made = about_user(HISTORY, profile(999), REQUEST, len)
    assert made.text.splitlines() == [
        "The user lives in Bergen.", "The user's flight leaves tomorrow. (said on 6 May 2026)",
        "From the user's history:", "6 May 2026:", "Bought a red bicycle.",
    ]  # fmt: skip
    assert made.tokens == len(made.text)


def test_days_stand_only_where_they_are_asked_for() -> None:
    asked = Request("Which bicycle is mine?")
    undated = lay_out(HISTORY, segment(HISTORY, "record"), dates=False)
    for text in (None, undated):  # with and without days in the profile
        assert about_user(HISTORY, profile(999, text), asked, len).text.splitlines()[-2:] == [
            "From the user's history:", "Bought a red bicycle.",
        ]  # fmt: skip
    assert "6 May 2026:" not in about_user(HISTORY, profile(999, undated), REQUEST, len).text


@pytest.mark.parametrize("budget", [1, 30, 80, 110, 200])
def test_the_best_that_fit_the_budget_stay(budget: int) -> None:
    made = about_user(HISTORY, profile(budget), REQUEST, len)
    assert made.tokens == len(made.text) <= budget
    assert len(made.segments) == len(made.scores)
    assert made.scores == (3.0, 2.0, 1.0)[: len(made.scores)]


def test_a_rewritten_profile_is_left_alone() -> None:
    rewritten = replace(profile(999, "The user lives in Norway."), compressor="rewriting")
    assert about_user(HISTORY, rewritten, REQUEST, len) == rewritten
