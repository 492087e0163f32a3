"""The ledger: what a turn adds, replaces and ends."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import pytest

from penchant.conversation.context import Found
from penchant.conversation.instructions.ledger import in_force, instruction_id, record_found, replay
from penchant.conversation.instructions.patterns import patterns
from penchant.history.dialogue import Instruction, Turn

NOW = datetime(2026, 11, 26, 15, tzinfo=UTC)
DETECT = patterns()


def talk(*texts: str, conversation: str = "c", known: tuple[Instruction, ...] = ()) -> tuple[Instruction, ...]:
    turns: list[Turn] = []
    for text in texts:
        when = NOW + timedelta(minutes=len(turns))
        turns += [Turn(len(turns), "user", text, when), Turn(len(turns) + 1, "assistant", "Fine.", when)]
    return replay(turns, DETECT, conversation, known)


def outcomes(ledger: tuple[Instruction, ...]) -> list[tuple[str, str]]:
    texts = {one.id: one.text for one in ledger}
    return [(one.text, "stands" if one.stands else texts.get(str(one.ended_by), str(one.ended_by))) for one in ledger]


def test_ids_are_of_conversation_turn_and_text() -> None:
    (one,) = talk("Always answer in English.")
    assert (one.id, one.conversation, one.turn, one.added) == (instruction_id("c", 0, one.text), "c", 0, NOW)
    assert len({instruction_id("c", 0, "a"), instruction_id("d", 0, "a"), instruction_id("c", 1, "a")}) == 3


def test_the_newest_of_a_slot_takes_the_place() -> None:
    ledger = talk("Always answer in English.", "What is a fjord?", "From now on answer in Norwegian.")
    assert outcomes(ledger) == [
        ("Always answer in English.", "From now on answer in Norwegian."),
        ("From now on answer in Norwegian.", "stands"),
    ]
    assert ledger[0].ended == NOW + timedelta(minutes=4)


def test_reading_a_turn_again_changes_nothing() -> None:
    ledger = talk("Always answer in English.", "From now on answer in Norwegian.")
    found = DETECT("Always answer in English.", ledger)
    assert record_found(ledger, found, conversation="c", turn=0, when=NOW) == ledger


def test_a_narrow_instruction_goes_before_a_wide_one_and_does_not_end_it() -> None:
    ledger = talk("Always answer in English.", "In this chat, answer in Norwegian.")
    assert [one.stands for one in ledger] == [True, True]
    assert [one.text for one in in_force(ledger, "c")] == ["In this chat, answer in Norwegian."]
    assert [one.text for one in in_force(ledger, "d")] == ["Always answer in English."]
    later = talk("Stop that.", known=ledger)
    assert [one.text for one in in_force(later, "c")] == ["Always answer in English."]


def test_another_conversations_own_instructions_are_left_alone() -> None:
    ledger = talk("In this chat, answer in Norwegian.")
    ledger = talk("From now on answer in English.", conversation="d", known=ledger)
    assert [one.stands for one in ledger] == [True, True]
    assert [one.text for one in in_force(ledger, "c")] == ["From now on answer in English."]


@pytest.mark.parametrize("text", ["Forget all my instructions.", "Ignore all previous rules.", "Vergiss alle Regeln."])
def test_all_end_when_the_user_says_so(text: str) -> None:
    ledger = talk("Always use bullet points.", "Never use commas.", text)
    assert [one.ended_by for one in ledger] == ["user", "user"]


def test_what_ends_is_the_one_that_is_meant() -> None:
    two = ("Start every answer with 'Ahoy'.", "Never use emojis.")
    assert [one.stands for one in talk(*two, "You can stop starting with Ahoy.")] == [False, True]
    assert [one.stands for one in talk(*two, "Emojis are fine again, you don't have to avoid emojis any more.")] == [
        True,
        False,
    ]
    assert [one.stands for one in talk(*two, "Stop that.")] == [True, False]
    assert [one.stands for one in talk(*two, "You can stop the car here.")] == [True, True]


def test_an_end_by_words_and_an_end_by_count() -> None:
    assert outcomes(talk("Talk like a pirate until I say stop.", "Where is Tortuga?", "stop"))[0][1] == "until"
    counted = "For the next two answers, use only capital letters."
    assert outcomes(talk(counted, "Why?"))[0][1] == "stands"
    assert outcomes(talk(counted, "Why?", "And now?"))[0][1] == "until"


def test_the_word_that_ends_one_ends_no_other() -> None:
    ledger = talk("Talk like a pirate until I say stop.", "Never use commas.", "Okay, stop now please!")
    assert [one.ended_by for one in ledger] == ["until", None]


def test_without_times_what_ends_has_ended() -> None:
    turns = [Turn(0, "user", "Never use commas."), Turn(1, "user", "Stop that.")]
    (one,) = replay(turns, DETECT)
    assert not one.stands


def test_an_unknown_id_ends_nothing() -> None:
    one = Instruction("a", "Never use commas.", "c")
    assert record_found([one], Found(ended=("b",)), conversation="c", turn=2, when=NOW) == (one,)
    ended = replace(one, ended=NOW, ended_by="until")
    assert record_found([ended], Found(ended=("a",)), conversation="c", turn=2, when=NOW) == (ended,)


@pytest.mark.parametrize("part", ["tune", "test"])
def test_the_written_sequences_end_as_they_should(part: str) -> None:
    lines = (files("penchant_lab.instructions") / "sequences.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["part"] == part]
    right = 0
    for row in rows:
        ledger = talk(*row["turns"])
        places = {one.id: place for place, one in enumerate(ledger)}
        got = [[one.text, "stands" if one.stands else places.get(str(one.ended_by), one.ended_by)] for one in ledger]
        right += got == [[one["text"], one["outcome"]] for one in row["ledger"]]
    assert right >= 0.9 * len(rows)
