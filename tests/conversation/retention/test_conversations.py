"""Off the record, and "forget that ...", in conversations on a tiny model: nothing of it is left in any file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from penchant import Personalizer, Record, Store
from penchant.conversation.answers import ChatAnswer
from penchant.conversation.session import Conversation
from penchant.history.dialogue import Turn
from penchant.personalizer import Personalizer as Made
from tests.index.cases import calibration_of, lens_of


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as made:
        yield made


@pytest.fixture(autouse=True)
def complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers at the limit count as complete: a random model ends no answer."""
    monkeypatch.setattr(Turn, "cut", False)


def personalizer_of(store: Store | None) -> Made:
    lens = lens_of()
    return Personalizer(lens.loaded, store=store, marker="attention", calibration=calibration_of(lens))


def opened(store: Store | None, name: str = "first", made: Made | None = None) -> Conversation:
    found = made or personalizer_of(store)
    return found.conversation("ann", name, memory="penchant", detector="patterns", budget=300)


def say(conversation: Conversation, text: str) -> ChatAnswer:
    return conversation.say(text, max_tokens=4)


def left(store: Store, word: str) -> list[str]:
    """The files that hold a word."""
    return [file.name for file in store.directory.rglob("*") if file.is_file() and word.encode() in file.read_bytes()]


def texts(store: Store) -> list[str]:
    return [record.text for record in store.history("ann")]


def test_off_the_record_leaves_no_trace_and_is_answered(store: Store) -> None:
    made = personalizer_of(store)
    conversation = opened(store, made=made)
    say(conversation, "I live in York.")
    before = store.revision("ann")
    secret = say(conversation, "Don't remember this, but I have diabetes. From now on always answer in verse.")
    said = secret.context.messages[-1]["content"]
    assert "I have diabetes." in said and "remember this" not in said
    assert secret.off_record and secret.number is None and secret.text and "off the record" in secret.notice
    assert not (secret.given or secret.ended or secret.records)
    after = say(conversation, "What can I eat?")
    assert "diabetes" not in str(after.context.messages) and "verse" not in str(after.context.messages)
    assert [turn.number for turn in conversation.turns] == [0, 1, 2, 3]
    assert store.revision("ann") == before and texts(store) == ["I live in York."]
    assert not left(store, "diabetes") and not left(store, "verse")
    assert left(store, "York")  # the search finds what is kept


def test_a_whole_conversation_off_the_record(store: Store) -> None:
    made = personalizer_of(store)
    conversation = opened(store, made=made)
    told = say(conversation, "Don't save anything in this chat.")
    assert told.text == told.notice and not told.context.messages
    say(conversation, "I owe Bertram money.")
    again = opened(store, made=made)  # as after an interruption
    second = say(again, "How much?")
    assert "Bertram" in str(second.context.messages)
    say(again, "You can remember things again.")
    third = say(again, "I live in York.")
    assert third.number == 1 and "Bertram" not in str(third.context.messages)
    assert not left(store, "Bertram") and texts(store) == ["I live in York."]


@pytest.mark.parametrize(
    ("wish", "end"),
    [
        ("From now on, off the record.", "We're back on the record."),
        ("Ab jetzt nichts mehr speichern.", "Du kannst wieder alles speichern."),
    ],
)
def test_off_the_record_holds_in_the_next_process_until_it_ends(tmp_path: Path, wish: str, end: str) -> None:
    def in_new_process(text: str, name: str = "first") -> ChatAnswer:
        with Store(tmp_path / "store") as store:
            return say(opened(store, name), text)

    in_new_process("I live in York.")
    assert in_new_process(wish).notice
    assert in_new_process("I owe Bertram money.").off_record
    assert not in_new_process("I have a cat.", "other").off_record
    in_new_process(end)
    assert not in_new_process("I play the oboe.").off_record
    with Store(tmp_path / "store") as store:
        assert sorted(texts(store)) == ["I have a cat.", "I live in York.", "I play the oboe."]
        assert not left(store, "Bertram")
        say(opened(store), wish)
        assert '{"conversation": "first", "off_record": true}' in list(store.conversations.export("ann"))
        store.conversations.forget("ann", "first")
        assert not say(opened(store), "I live in Hull.").off_record


def test_another_process_goes_off_the_record(store: Store) -> None:
    here = opened(store)
    say(opened(store), "Don't save anything in this chat.")
    assert say(here, "I owe Bertram money.").off_record and not left(store, "Bertram")


def test_an_interrupted_answer_off_the_record_is_not_kept(store: Store) -> None:
    conversation = opened(store)
    stream = conversation.stream("Off the record: I have diabetes.", max_tokens=6)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert not conversation.turns and not store.conversations.turns("ann", "first")


def test_forgetting_erases_what_says_it_and_nothing_else(store: Store) -> None:
    made = personalizer_of(store)
    store.add("ann", [Record("I live in Porto.", id="imported"), Record("Porto is wet. I live in Porto.", id="essay")])
    other = opened(store, "other", made)
    say(other, "I live in Porto.")
    conversation = opened(store, made=made)
    say(conversation, "I'm Anna, I live in Porto and I'm allergic to peanuts. Is it warm?")
    say(conversation, "My sister lives in Porto.")
    asked = say(conversation, "Forget that I live in Porto.")
    assert asked.text == asked.notice and asked.text.startswith("Forgotten") and "essay" in asked.text
    found = asked.forgotten
    assert found is not None and found.searched is not None and found.searched.searched
    assert found.turns == (("other", 0), ("other", 1)) and found.redacted == (("first", 0),)
    assert set(found.records) == {"imported", "said:other:0:0", "said:first:0:0"} and found.left == ("essay",)
    assert texts(store) == [
        "Porto is wet. I live in Porto.",
        "I'm Anna, … and I'm allergic to peanuts.",
        "My sister lives in Porto.",
    ]
    kept = [turn.text for turn in store.conversations.turns("ann", "first") if turn.role == "user"]
    assert kept[0].startswith("I'm Anna, …") and kept[0].endswith("I'm allergic to peanuts. Is it warm?")
    assert kept == [turn.text for turn in conversation.turns if turn.role == "user"]
    assert not store.conversations.turns("ann", "other")
    store.forget_record("ann", "essay")
    assert not left(store, "I live in Porto")


def test_the_rest_of_the_turn_is_answered_and_kept(store: Store) -> None:
    conversation = opened(store)
    say(conversation, "I live in Porto.")
    moved = say(conversation, "Forget that I live in Porto, I live in Lisbon now.")
    assert moved.number is not None and moved.notice.startswith("Forgotten")
    said = moved.context.messages[-1]["content"]
    assert said.endswith("I live in Lisbon now.") and "Porto" not in said
    assert texts(store) == ["I live in Lisbon now."] and not left(store, "Porto")


def test_what_is_not_found_is_said_and_nothing_is_kept_of_it(store: Store) -> None:
    conversation = opened(store)
    say(conversation, "I live in York.")
    asked = say(conversation, "Vergiss, dass ich ein Boot habe.")
    assert asked.text.startswith("Ich habe nichts gefunden") and not left(store, "Boot")
    edit = say(conversation, "Delete my second paragraph.")  # nothing to forget: a request like any other
    assert edit.number == 3 and edit.forgotten is None and not edit.notice


def test_the_last_message_is_forgotten_with_its_answer_and_instruction(store: Store) -> None:
    conversation = opened(store)
    say(conversation, "I live in York.")
    say(conversation, "From now on end every answer with OK-7.")
    asked = say(conversation, "Forget what I just said.")
    assert asked.forgotten is not None and asked.forgotten.turns == (("first", 2), ("first", 3))
    assert len(asked.forgotten.instructions) == 1 and not conversation.instructions
    assert [turn.number for turn in conversation.turns] == [0, 1] and not left(store, "OK-7")


def test_the_end_of_an_instruction_is_no_request_to_forget(store: Store) -> None:
    conversation = opened(store)
    say(conversation, "From now on end every answer with OK-7.")
    ended = say(conversation, "Forget that I want answers to end with OK-7.")
    assert [one.text for one in ended.ended] == ["From now on end every answer with OK-7."] or (
        ended.forgotten is not None and ended.forgotten.instructions
    )
    assert not conversation.instructions


def test_without_a_store() -> None:
    conversation = opened(None)
    say(conversation, "I live in Porto. Is it warm?")
    asked = say(conversation, "Forget that I live in Porto.")
    assert asked.forgotten is not None and asked.forgotten.redacted == (("first", 0),)
    assert "Porto" not in str(say(conversation, "Where do I live?").context.messages[:-1])
