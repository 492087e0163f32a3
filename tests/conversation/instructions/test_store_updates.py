"""What a turn adds, supersedes and ends (`instructions/store.py`)."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import pytest

from penchant.conversation.context import Found
from penchant.conversation.instructions.patterns import patterns
from penchant.conversation.instructions.store import InstructionStore, instruction_id
from penchant.history.dialogue import Instruction, Turn
from penchant.store import Store

NOW = datetime(2026, 11, 26, 15, tzinfo=UTC)
DETECT = patterns()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as made:
        yield made


def talk(*texts: str, conversation: str = "c", store: Store | None = None) -> InstructionStore:
    """The instructions after a conversation; in a store it goes on where it was."""
    before = -1
    if store is not None:
        before = store.conversations.open("ann", conversation, when=NOW).next - 1
    turns: list[Turn] = []
    for text in texts:
        when, number = NOW + timedelta(minutes=len(turns)), before + 1 + len(turns)
        turns += [Turn(number, "user", text, when), Turn(number + 1, "assistant", "Fine.", when)]
    for turn in turns if store is not None else ():
        store.conversations.add("ann", conversation, turn)
    instructions = InstructionStore(conversation, store, "ann")
    instructions.replay(turns, DETECT)
    return instructions


def active(*texts: str) -> list[bool]:
    return [one.active for one in talk(*texts).all]


def outcomes(instructions: InstructionStore) -> list[tuple[str, str]]:
    texts = {one.id: one.text for one in instructions.all}
    return [(one.text, _outcome(one, texts)) for one in instructions.all]


def _outcome(one: Instruction, texts: dict[str, str]) -> str:
    return "stands" if one.active else texts.get(str(one.ended_by), str(one.ended_by))


def test_ids_are_of_conversation_turn_and_text() -> None:
    (one,) = talk("Always answer in English.").all
    assert (one.id, one.conversation, one.turn, one.added) == (instruction_id("c", 0, one.text), "c", 0, NOW)
    assert len({instruction_id("c", 0, "a"), instruction_id("d", 0, "a"), instruction_id("c", 1, "a")}) == 3


def test_the_newest_of_a_slot_takes_the_place() -> None:
    instructions = talk("Always answer in English.", "What is a fjord?", "From now on answer in Norwegian.")
    assert outcomes(instructions) == [
        ("Always answer in English.", "From now on answer in Norwegian."),
        ("From now on answer in Norwegian.", "stands"),
    ]
    assert instructions.all[0].ended == NOW + timedelta(minutes=4)


def test_reading_a_turn_again_changes_nothing() -> None:
    instructions = talk("Always answer in English.", "From now on answer in Norwegian.")
    before = instructions.all
    found = DETECT("Always answer in English.", before)
    assert found.given
    assert instructions.apply(found, Turn(0, "user", "Always answer in English.", NOW)) == ((), ())
    assert instructions.all == before


def test_a_narrow_instruction_goes_before_a_wide_one_and_does_not_end_it(store: Store) -> None:
    instructions = talk("Always answer in English.", "In this chat, answer in Norwegian.", store=store)
    assert [one.active for one in instructions.all] == [True, True]
    assert [one.text for one in instructions.in_force] == ["In this chat, answer in Norwegian."]
    assert [one.text for one in talk(conversation="d", store=store).in_force] == ["Always answer in English."]
    later = talk("Stop that.", store=store)
    assert [one.text for one in later.in_force] == ["Always answer in English."]


def test_another_conversations_own_instructions_are_left_alone(store: Store) -> None:
    talk("In this chat, answer in Norwegian.", store=store)
    talk("From now on answer in English.", conversation="d", store=store)
    instructions = InstructionStore("c", store, "ann")
    assert [one.active for one in instructions.all] == [True, True]
    assert [one.text for one in instructions.in_force] == ["From now on answer in English."]


@pytest.mark.parametrize("text", ["Forget all my instructions.", "Ignore all previous rules.", "Vergiss alle Regeln."])
def test_all_end_when_the_user_says_so(text: str) -> None:
    instructions = talk("Always use bullet points.", "Never use commas.", text)
    assert [one.ended_by for one in instructions.all] == ["user", "user"]


def test_what_ends_is_the_one_that_is_meant() -> None:
    two = ("Start every answer with 'Ahoy'.", "Never use emojis.")
    assert active(*two, "You can stop starting with Ahoy.") == [False, True]
    assert active(*two, "Emojis are fine again, you don't have to avoid emojis any more.") == [True, False]
    assert active(*two, "Stop that.") == [True, False]
    assert active(*two, "You can stop the car here.") == [True, True]


def test_an_end_by_words_and_an_end_by_count() -> None:
    assert outcomes(talk("Talk like a pirate until I say stop.", "Where is Tortuga?", "stop"))[0][1] == "until"
    counted = "For the next two answers, use only capital letters."
    assert outcomes(talk(counted, "Why?"))[0][1] == "stands"
    assert outcomes(talk(counted, "Why?", "And now?"))[0][1] == "until"


def test_the_word_that_ends_one_ends_no_other() -> None:
    instructions = talk("Talk like a pirate until I say stop.", "Never use commas.", "Okay, stop now please!")
    assert [one.ended_by for one in instructions.all] == ["until", None]


def test_without_times_what_ends_has_ended() -> None:
    turns = [Turn(0, "user", "Never use commas."), Turn(1, "user", "Stop that.")]
    instructions = InstructionStore()
    instructions.replay(turns, DETECT)
    (one,) = instructions.all
    assert not one.active


def test_an_unknown_id_ends_nothing() -> None:
    instructions = InstructionStore("c")
    one = instructions.add("Never use commas.")
    assert instructions.apply(Found(ended=("b",)), Turn(2, "user", "Stop that.", NOW)) == ((), ())
    assert instructions.all == (one,)
    ended = instructions.end(one.id)
    assert instructions.apply(Found(ended=(one.id,)), Turn(2, "user", "Stop that.", NOW)) == ((), ())
    assert instructions.all == (ended,)


@pytest.mark.parametrize("part", ["tune", "test"])
def test_the_written_sequences_end_as_they_should(part: str) -> None:
    lines = (files("penchant_lab.instructions") / "sequences.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["part"] == part]
    right = 0
    for row in rows:
        instructions = talk(*row["turns"])
        index = {one.id: str(at) for at, one in enumerate(instructions.all)}
        got = [[one.text, _outcome(one, index)] for one in instructions.all]
        right += got == [[one["text"], str(one["outcome"])] for one in row["ledger"]]
    assert right >= 0.9 * len(rows)
