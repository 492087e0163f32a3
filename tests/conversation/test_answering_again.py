"""`Conversation.retry`, and what `Conversation.forget` says: an answer that is missing or stopped is given again."""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import cast

import pytest

from penchant import Personalizer, Store
from penchant.conversation import speaking as module
from penchant.conversation.answers import ChatAnswer
from penchant.conversation.session import Conversation
from penchant.errors import InputError
from penchant.history.dialogue import Finish, Turn
from penchant.inference.generation import AnswerStream
from tests.index.cases import calibration_of, lens_of

ORDER = "From now on end every answer with OK-7."


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as made:
        yield made


def opened(store: Store | None) -> Conversation:
    lens = lens_of()
    personalizer = Personalizer(lens.loaded, store=store, marker="attention", calibration=calibration_of(lens))
    name = ("ann", "first") if store is not None else ("", "")
    return personalizer.conversation(*name, memory="recent-5", detector="patterns", budget=300, notes=0)


def again(conversation: Conversation, tokens: int = 4) -> ChatAnswer:
    *pieces, said = conversation.retry(max_tokens=tokens)
    assert isinstance(said, ChatAnswer)
    assert "".join(map(str, pieces)).strip() == said.text
    return said


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers at the limit count as complete: a random model ends no answer."""
    monkeypatch.setattr(Turn, "cut", False)


@pytest.mark.usefixtures("complete")
def test_a_missing_answer_is_given(store: Store) -> None:
    first = opened(store).say("The key is under the pot.", max_tokens=4)
    store.conversations.add("ann", "first", Turn(2, "user", ORDER))
    conversation = opened(store)
    assert conversation.exchanges[-1].assistant is None
    said = again(conversation)
    assert (said.number, said.context.messages[-1]["content"]) == (3, ORDER)
    assert said.text == conversation.turns[-1].text == opened(store).turns[-1].text
    assert [one.exchange for one in said.context.inclusions] == [0]  # not the one that is answered
    assert [turn.role for turn in conversation.turns] == ["user", "assistant"] * 2
    assert conversation.exchanges[0].assistant is not None
    assert conversation.exchanges[0].assistant.text == first.text
    assert [one.text for one in conversation.instructions] == [ORDER]


def steps() -> Generator[list[str], None, list[Finish]]:
    yield [""]
    yield [" \n"]
    return ["stop"]


def test_an_answer_without_a_word_is_missing_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = opened(store)
    with monkeypatch.context() as patched:
        patched.setattr(module, "generate_stream", lambda *given, **options: AnswerStream(steps()))
        said = conversation.say("Hello.", max_tokens=4)
    assert (said.text, said.number) == ("", None)
    assert [turn.role for turn in opened(store).turns] == ["user"]
    assert again(conversation).number == 1


def test_a_stopped_answer_is_given_anew_and_the_new_one_counts(store: Store) -> None:
    conversation = opened(store)
    stream = cast("Generator[str | ChatAnswer]", conversation.stream("Tell me more.", max_tokens=8))
    next(stream)
    stream.close()
    (exchange,) = conversation.exchanges
    assert exchange.assistant is not None
    assert exchange.assistant.finish == "interrupted"
    said = again(conversation, 8)
    (exchange,) = conversation.exchanges
    assert exchange.assistant is not None
    assert (exchange.assistant.text, exchange.assistant.number) == (said.text, 2)
    whole = opened(None).say("Tell me more.", max_tokens=8)
    assert said.text == whole.text
    assert said.context.messages == whole.context.messages


@pytest.mark.usefixtures("complete")
@pytest.mark.parametrize("begun", [False, True])
def test_there_must_be_something_to_answer_again(store: Store, begun: bool) -> None:
    conversation = opened(store)
    if begun:
        conversation.say("Hello.", max_tokens=2)
    before = conversation.turns
    with pytest.raises(InputError, match="nothing to answer again"):
        again(conversation)
    assert conversation.turns == before


def test_forgetting_a_users_turn_takes_its_answers_along(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = opened(store)
    let_go: list[str] = []
    monkeypatch.setattr(conversation.memory, "forget", let_go.append)
    for text in ("Hello.", f"{ORDER} I live in Porto.", "And now?"):
        conversation.say(text, max_tokens=4)
    gone = conversation.forget([2])
    assert [turn.number for turn in gone.turns] == [2, 3]
    assert [one.text for one in gone.instructions] == [ORDER]
    assert len(gone.records) == 1
    assert not store.holds("ann", gone.records[0])
    assert [turn.number for turn in conversation.turns] == [turn.number for turn in opened(store).turns] == [0, 1, 4, 5]
    assert let_go == [conversation.key]
    only = conversation.forget([5])  # an answer goes alone, and is missing then
    assert ([turn.number for turn in only.turns], only.instructions, only.records) == ([5], (), ())
    assert conversation.exchanges[-1].assistant is None


def test_forgetting_without_a_store_says_what_is_gone() -> None:
    conversation = opened(None)
    conversation.say(ORDER, max_tokens=2)
    gone = conversation.forget([0])
    assert ([turn.number for turn in gone.turns], [one.text for one in gone.instructions]) == ([0, 1], [ORDER])
    assert gone.records == ()
    assert conversation.turns == ()
