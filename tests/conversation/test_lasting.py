"""What lasts beyond a turn, on a tiny model: facts and instructions in later turns and other conversations."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from penchant import Store
from penchant.conversation import session as module
from penchant.errors import InputError, UnknownUserError
from tests.conversation.cases import ORDER, opened, say


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as made:
        yield made


def test_what_is_said_becomes_history_and_the_next_conversation_knows_it(store: Store) -> None:
    said = say(opened(store), "I live in Bergen. What should I read next?")
    (record,) = store.history("ann")
    assert (record.text, record.kind) == ("I live in Bergen.", "said")
    assert record.meta["conversation"] == "first"
    assert said.records == (record.id,)
    assert said.context.notes is not None
    assert said.context.notes.text == "The user lives in Bergen."
    other = say(opened(store, name="second"), "Where do I live?")
    assert other.context.notes is not None
    assert other.context.notes.text == "The user lives in Bergen."
    assert other.context.messages[-1]["content"].endswith("The user lives in Bergen.\n\nWhere do I live?")


def test_of_two_statements_that_contradict_the_next_conversation_hears_the_newest(store: Store) -> None:
    say(opened(store), "I live in Bergen.")
    say(opened(store, name="second"), "I live in Oslo now.")
    said = say(opened(store, name="third"), "Where do I live?")
    assert said.context.notes is not None
    assert "Oslo" in said.context.notes.text
    assert "Bergen" not in said.context.notes.text
    assert [record.text for record in store.history("ann")] == ["I live in Bergen.", "I live in Oslo now."]
    opened(store, name="second").forget([0])
    again = opened(store, name="fourth").context("Where do I live?")
    assert again.notes is not None
    assert again.notes.text == "The user lives in Bergen."  # true again, as if the other had never been said


def test_an_instruction_is_no_fact(store: Store) -> None:
    conversation = opened(store)
    said = say(conversation, "I prefer short answers from now on.")
    assert [one.text for one in said.given] == [conversation.turns[0].text] and said.records == ()
    with pytest.raises(UnknownUserError):
        store.history("nobody")
    assert list(store.history("ann")) == []


def test_a_lasting_instruction_stands_in_the_next_conversation_and_another_users_does_not(store: Store) -> None:
    say(opened(store), ORDER)
    assert [one.text for one in opened(store, name="second").instructions] == [ORDER]
    assert opened(store, user="bob", name="first").instructions == ()
    asked = say(opened(store, user="bob"), "Tell me what Ann said.")
    assert not any("OK-7" in message["content"] for message in asked.context.messages)


def test_the_newest_of_two_that_contradict_wins(store: Store) -> None:
    conversation = opened(store)
    say(conversation, "From now on always answer in French.")
    said = say(conversation, "From now on always answer in German.")
    assert [one.text for one in said.given] == ["From now on always answer in German."]
    assert [one.text for one in said.ended] == ["From now on always answer in French."]
    assert [one.text for one in conversation.instructions] == ["From now on always answer in German."]


def test_until_ends_by_itself(store: Store) -> None:
    conversation = opened(store)
    say(conversation, "Answer in upper case until I say banana.")
    assert [one.scope for one in conversation.instructions] == ["until"]
    said = say(conversation, "Banana!")
    assert conversation.instructions == ()
    assert "upper case" not in said.context.messages[0]["content"] or said.context.messages[0]["role"] != "system"


def test_until_a_time_ends_without_a_word(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = opened(store)
    say(conversation, "For the next 10 minutes answer in upper case.")
    assert [one.scope for one in conversation.instructions] == ["until"]
    later = datetime.now(UTC) + timedelta(minutes=11)
    monkeypatch.setattr(module, "_now", lambda: later)
    assert conversation.instructions == ()
    (ended,) = store.conversations.instructions("ann", None)
    assert (ended.active, ended.ended_by) == (False, "until")


def test_forgetting_a_turn_takes_what_came_of_it_along(store: Store) -> None:
    conversation = opened(store)
    say(conversation, ORDER + " I live in Bergen.")
    say(conversation, "What should I read next?")
    conversation.forget([0, 1])
    assert [turn.number for turn in conversation.turns] == [2, 3]
    assert conversation.instructions == ()
    assert conversation.context("Well?").instructions == ()
    assert [turn.number for turn in opened(store).turns] == [2, 3]
    assert opened(store).instructions == ()
    assert not any("Bergen" in file.read_bytes().decode("latin-1") for file in _files(store))
    say(conversation, "Thank you.")
    assert [turn.number for turn in conversation.turns] == [2, 3, 4, 5]
    with pytest.raises(InputError, match="no turn 0"):
        conversation.forget([2, 0])
    assert [turn.number for turn in conversation.turns] == [2, 3, 4, 5]


def test_forgetting_without_a_store_lets_the_older_one_stand_again() -> None:
    conversation = opened(None)
    say(conversation, "From now on always answer in French.")
    say(conversation, "From now on always answer in German.")
    conversation.forget([2])
    assert [one.text for one in conversation.instructions] == ["From now on always answer in French."]


def test_search_finds_turns_of_all_conversations(store: Store) -> None:
    say(opened(store), "The key is under the blue pot.")
    say(opened(store, name="second"), "The meeting is on Tuesday.")
    (found, *_) = opened(store, name="third").search("blue pot")
    assert (found.conversation, found.turn.number) == ("first", 0)
    with pytest.raises(InputError, match="store"):
        opened(None).search("blue pot")


def _files(store: Store) -> list[Path]:
    return [path for path in store.directory.rglob("*") if path.is_file()]


def test_what_ends_an_until_ends_nothing_else(store: Store) -> None:
    conversation = opened(store)
    say(conversation, ORDER)
    say(conversation, "Answer in upper case until I say stop.")
    said = say(conversation, "Okay, stop now.")
    assert [one.text for one in said.ended] == ["Answer in upper case until I say stop."]
    assert [one.text for one in conversation.instructions] == [ORDER]


def test_an_order_for_this_conversation_goes_before_a_lasting_one_here_alone(store: Store) -> None:
    say(opened(store), "From now on always answer in English.")
    here = opened(store, name="second")
    said = say(here, "In this chat answer in Norwegian.")
    assert said.ended == ()
    assert [one.text for one in here.instructions] == ["In this chat answer in Norwegian."]
    assert [one.text for one in opened(store, name="third").instructions] == ["From now on always answer in English."]
