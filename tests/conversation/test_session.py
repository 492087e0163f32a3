"""Conversations on a tiny model: what is kept, when, and what stands before the model."""

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from penchant import Record, Store
from penchant.conversation import speaking
from penchant.conversation.answers import ChatAnswer
from penchant.errors import InputError, UnknownUserError
from penchant.history.dialogue import Turn
from tests.conversation.cases import ORDER, opened, personalizer_of, say


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as made:
        yield made


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


def test_the_system_prompt_stays_first(store: Store) -> None:
    say(opened(store, system="You are a pirate."), ORDER)
    said = say(opened(store), "Hello.")
    system, *_, last = said.context.messages
    assert system == {"role": "system", "content": "You are a pirate."}
    assert last["content"] == f"Hello.\n\n{ORDER}"


def _files(store: Store) -> list[Path]:
    return [path for path in store.directory.rglob("*") if path.is_file()]
