"""Conversations on a tiny model: what is kept, when, and what stands before the model."""

import gc
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from penchant import Personalizer, Record, Store
from penchant.conversation import session as module
from penchant.conversation import speaking
from penchant.conversation.answers import ChatAnswer
from penchant.conversation.session import Conversation
from penchant.errors import InputError, UnknownUserError
from penchant.history.dialogue import Turn
from tests.index.cases import calibration_of, lens_of

ORDER = "From now on end every answer with OK-7."


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as made:
        yield made


def personalizer_of(store: Store | None = None) -> Personalizer:
    lens = lens_of()
    return Personalizer(lens.loaded, store=store, marker="attention", calibration=calibration_of(lens))


def opened(store: Store | None = None, user: str = "ann", name: str = "first", **options: object) -> Conversation:
    return personalizer_of(store).conversation(
        user, name, **{"memory": "recent-5", "detector": "patterns", "budget": 300, **options}
    )


def say(conversation: Conversation, text: str) -> ChatAnswer:
    return conversation.say(text, max_tokens=4)


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers at the limit count as complete: a random model ends no answer."""
    monkeypatch.setattr(Turn, "cut", False)


@pytest.mark.usefixtures("complete")
def test_both_turns_are_kept_and_the_next_prompt_holds_them(store: Store) -> None:
    conversation = opened(store)
    first = say(conversation, "The key is under the blue pot.")
    assert [(turn.number, turn.role) for turn in conversation.turns] == [(0, "user"), (1, "assistant")]
    assert conversation.turns[1].text == first.text
    second = say(conversation, "Where is the key?")
    said = [message["content"] for message in second.context.messages]
    assert said[-1] == "Where is the key?"
    assert any("under the blue pot" in text for text in said[:-1])
    assert store.conversations.turns("ann", "first") == list(conversation.turns)


def test_options_of_a_memory_are_of_one_conversation() -> None:
    personalizer, kept = personalizer_of(), []
    for options in ({"count": 1}, {}, {"count": 2}):
        made = personalizer.conversation(memory="recent-5", detector="patterns", budget=300, memory_options=options)
        for text in ("One.", "Two.", "Three."):
            say(made, text)
        kept.append(sum(one.how != "dropped" for one in made.context("Four?").inclusions))
    assert kept == [1, 3, 2]


def test_a_conversation_goes_on_where_it_was(store: Store) -> None:
    say(opened(store), ORDER)
    again = opened(store)
    assert again.turns[0].text == ORDER
    assert [one.text for one in again.instructions] == [ORDER]
    assert ORDER in again.context("Hello there, how are you?").messages[0]["content"]
    say(again, "And now?")
    assert [turn.number for turn in again.turns] == [0, 1, 2, 3]


def test_pieces_are_what_is_said(store: Store) -> None:
    *pieces, said = opened(store).stream("What should I read next?", max_tokens=6)
    assert isinstance(said, ChatAnswer)
    assert all(isinstance(piece, str) for piece in pieces)
    assert "".join(map(str, pieces)).strip() == said.text
    assert set(said.seconds) == {"detect", "notes", "context", "answer"}


def test_what_is_cut_off_is_kept_and_marked(store: Store) -> None:
    conversation = opened(store)
    stream = conversation.stream("What should I read next?", max_tokens=50)
    first = next(stream)
    stream.close()
    assert [turn.finish for turn in conversation.turns] == [None, "interrupted"]
    assert conversation.turns[1].text == str(first).strip()
    assert store.conversations.turns("ann", "first")[1].finish == "interrupted"
    say(conversation, "Go on.")  # the lock is free again


def test_an_answer_that_never_came_is_missing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = opened(store)

    def fails(*args: object, **options: object) -> Iterator[str]:
        raise MemoryError

    with monkeypatch.context() as patched, pytest.raises(MemoryError):
        patched.setattr(speaking, "generate_stream", fails)
        say(conversation, "The key is under the blue pot.")
    again = opened(store)
    assert [one.assistant for one in again.exchanges] == [None]
    said = say(again, "Where is the key?")
    assert any("blue pot" in message["content"] for message in said.context.messages)


def test_a_crash_behind_the_turn_loses_nothing_of_what_it_says(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = opened(store)

    def crash(turn: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        monkeypatch.setattr(conversation, "_learn", crash)
        say(conversation, ORDER + " I live in Bergen.")
    assert store.conversations.instructions("ann", "first") == []
    again = opened(store)
    assert [one.text for one in again.instructions] == [ORDER]
    assert [record.text for record in store.history("ann")] == ["I live in Bergen."]


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


@pytest.mark.parametrize("text", ["", " \n "])
def test_an_empty_turn_is_refused(store: Store, text: str) -> None:
    conversation = opened(store)
    with pytest.raises(InputError, match="empty"):
        say(conversation, text)
    assert conversation.turns == ()


def test_a_turn_over_the_budget_is_refused_and_nothing_is_kept(store: Store) -> None:
    conversation = opened(store, budget=60)
    with pytest.raises(InputError, match="over the conversation's budget of 60"):
        say(conversation, "walk by the sea " * 30)
    with pytest.raises(InputError, match="over the conversation's budget of 60"):
        say(conversation, "walk by the sea " * 3000)
    assert conversation.turns == ()
    assert store.conversations.turns("ann", "first") == []


@pytest.mark.parametrize("budget", [0, -1, 512, 10_000])
def test_a_budget_without_room_is_refused(budget: int) -> None:
    with pytest.raises(InputError, match="budget"):
        opened(None, budget=budget)


def test_bad_names_are_refused(store: Store) -> None:
    with pytest.raises(InputError, match="no memory 'elephant'"):
        opened(store, memory="elephant")
    with pytest.raises(InputError, match="no detector 'dog'"):
        opened(store, detector="dog")
    with pytest.raises(InputError, match="notes"):
        opened(store, notes=1.0)


def test_no_prompt_is_over_the_budget(store: Store) -> None:
    store.add("ann", [Record(f"Note {n}: the meeting is on Tuesday at ten.", f"n{n}") for n in range(30)])
    conversation = opened(store, budget=200, memory="penchant")
    say(conversation, ORDER)
    for number in range(6):
        said = say(conversation, f"The meeting {number} is on Tuesday at ten, please bring the report. " * 3)
        assert said.context.tokens <= 200


def test_two_threads_take_turns(store: Store) -> None:
    conversation = opened(store)
    threads = [threading.Thread(target=say, args=(conversation, f"Hello {n}.")) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [turn.number for turn in conversation.turns] == list(range(8))
    assert [turn.role for turn in conversation.turns] == ["user", "assistant"] * 4
    assert store.conversations.turns("ann", "first") == list(conversation.turns)


def test_pieces_may_be_asked_for_by_several_threads(store: Store) -> None:
    stream = opened(store).stream("What should I read next?", max_tokens=5)
    got: list[object] = []
    for _ in range(3):
        thread = threading.Thread(target=lambda: got.append(next(stream)))
        thread.start()
        thread.join()
    got += stream
    assert isinstance(got[-1], ChatAnswer)


def test_another_process_is_noticed(store: Store) -> None:
    one, other = opened(store), opened(store)
    say(one, "Hello.")
    with pytest.raises(InputError, match="another process"):
        say(other, "Hello.")
    assert len(store.conversations.turns("ann", "first")) == 2


def test_an_erased_user_is_gone_for_an_open_conversation(store: Store) -> None:
    conversation = opened(store)
    say(conversation, "I live in Bergen.")
    store.forget("ann")
    with pytest.raises(UnknownUserError):
        say(conversation, "And I like long walks.")
    gc.collect()
    assert store.count() == 0


def test_search_finds_turns_of_all_conversations(store: Store) -> None:
    say(opened(store), "The key is under the blue pot.")
    say(opened(store, name="second"), "The meeting is on Tuesday.")
    (found, *_) = opened(store, name="third").search("blue pot")
    assert (found.conversation, found.turn.number) == ("first", 0)
    with pytest.raises(InputError, match="store"):
        opened(None).search("blue pot")


def test_the_system_prompt_stays_first(store: Store) -> None:
    say(opened(store, system="You are a pirate."), ORDER)
    said = say(opened(store), "Hello.")
    system, *_, last = said.context.messages
    assert system == {"role": "system", "content": "You are a pirate."}
    assert last["content"] == f"Hello.\n\n{ORDER}"


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
