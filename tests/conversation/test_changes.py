"""What a statement ends, and what it leaves standing: the test kit of the languages, and the mechanism."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from penchant.conversation.facts import records_of, statements, superseded
from penchant.conversation.facts.claims import claim_of
from penchant.conversation.facts.languages import languages
from penchant.history.dialogue import Turn
from penchant.history.records import History, Record

START = datetime(2026, 3, 1, tzinfo=UTC)


def said(*turns: str) -> list[Record]:
    return [
        record
        for number, text in enumerate(turns)
        for record in records_of(Turn(number, "user", text, START + timedelta(days=number)), "c")
    ]


def over(*turns: str) -> list[str]:
    """The texts of the records that these turns leave and end."""
    records = said(*turns)
    assert len(records) >= len(turns), f"not all of {turns} became a record"
    ended = superseded(History(records))
    return [record.text for record in records if record.id in ended]


@pytest.mark.parametrize("code", sorted(languages()))
def test_a_language_ends_what_its_examples_end_and_nothing_else(code: str) -> None:
    examples = languages()[code].data["examples"]
    assert len(examples["ends"]) >= 5 and len(examples["stands"]) >= 5
    for old, new in examples["ends"]:
        assert over(old, new) == [old], (old, new)
        assert over(new) == []
    for old, new in examples["stands"]:
        assert over(old, new) == [], (old, new)


def test_what_begins_again_ends_its_end() -> None:
    turns = ["I smoke.", "I stopped smoking.", "I've started smoking again."]
    assert over(*turns) == turns[:2]
    assert over(turns[0], turns[2]) == []
    assert over("I used to smoke, but I've stopped.", turns[2]) == ["I used to smoke, but I've stopped."]
    assert over("I don't like jazz.", "I like jazz now.") == ["I don't like jazz."]
    assert over("I don't like jazz.", "I like the smell of jazz clubs.") == []


def test_only_a_change_ends_what_says_more() -> None:
    assert over("I play chess on Mondays with Ida.", "I no longer play chess.") == ["I play chess on Mondays with Ida."]
    assert over("I play chess on Mondays with Ida.", "I don't play chess.") == []
    assert over("I play chess.", "I don't play chess.") == ["I play chess."]
    assert over("I play chess.", "I no longer play chess on Mondays.") == []


def test_others_having_and_harm_stand_apart() -> None:
    assert over("I smoke.", "My sister quit smoking.") == []
    assert over("My sister smokes.", "My sister quit smoking.") == ["My sister smokes."]
    assert over("My sister smokes.", "I quit smoking.") == []
    assert over("I own a coffee shop.", "I've given up coffee.") == []
    assert over("I hate coffee.", "I don't hate coffee anymore.") == ["I hate coffee."]


def test_qualifiers_make_other_topics() -> None:
    found = {
        "My eye doctor is Dr. Voss.": "doctor (eye)",
        "My family doctor is Dr. Voss.": "doctor",
        "My son's dentist is Dr. Voss.": "dentist (son)",
        "My new dentist is Dr. Voss.": "dentist",
        "My brother lives in Perth.": "residence (brother)",
        "On weekends I work at the zoo.": "employer (weekend)",
        "Mein Augenarzt ist Dr. Voss.": "doctor (aug)",
        "Mi médico de cabecera es el doctor Voss.": "doctor",
    }
    for text, about in found.items():
        (one,) = statements(text)
        assert (one.about, one.value is not None) == (about, True), text


def test_a_joke_takes_back_what_stands_before_it() -> None:
    assert [one.text for one in statements("I live in Cork. I'm the king of Spain. Just kidding!")] == [
        "I live in Cork."
    ]
    assert [one.text for one in statements("I live in Cork. Kidding aside, I have a cat.")] == ["I live in Cork."]


def test_a_claim_as_json() -> None:
    english = languages()["en"]
    claim = claim_of("I no longer have a dog", english)
    assert claim is not None and claim.meta() == {"over": ["@have dog have"]}
    claim = claim_of("I'm vegetarian now", english)
    assert claim is not None
    assert claim.meta() == {"words": "@ vegetarian", "over": ["@ eat meat", "@ eat fish"], "again": True}
    assert claim_of("I have", english) is None
    assert json.loads(json.dumps([dict(record.meta) for record in said("I smoke.", "I quit smoking.")]))


def test_records_from_before_there_were_claims_stay() -> None:
    old = Record("I smoke.", id="old", when=START - timedelta(days=1), kind="said", meta={"conversation": "b"})
    odd = Record(
        "I smoke.", id="odd", when=START, kind="said", meta={"claim": {"words": 7, "over": "smoke", "denies": [1]}}
    )
    assert superseded(History([old, odd, *said("I quit smoking.")])) == {}
