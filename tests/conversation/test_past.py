"""What later prompts hold of past answers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from penchant import Personalizer, Store
from penchant.compression.profile import Profile
from penchant.conversation import speaking as module
from penchant.conversation.past import marked, readable, without_courtesies, without_others
from penchant.conversation.session import Conversation
from penchant.history.dialogue import Exchange, Finish, Turn
from penchant.history.records import Segment
from penchant.inference.generation import AnswerStream
from tests.index.cases import calibration_of, lens_of

LOOP = "I can't help with that, but I'm glad you asked. " * 6


@pytest.mark.parametrize(
    ("text", "finish", "expected"),
    [
        ("Yes.", "stop", "Yes."),
        ("Yes.", None, "Yes."),
        ("Yes, and fur", "length", None),
        ("Yes", "interrupted", None),
        (LOOP, "repetition", None),
        (LOOP, None, None),  # kept before answers said why they ended
        ("<think>\nHm.\n</think>\nYes.", "stop", "Yes."),
        ("<think>\nHm.", "stop", None),
    ],
)
def test_later_prompts_hold_complete_answers_without_reasoning(
    text: str, finish: Finish | None, expected: str | None
) -> None:
    turns = [Turn(0, "user", "Is it?"), marked(Turn(1, "assistant", text, finish=finish))]
    (exchange,) = readable(turns)
    assert exchange.user.text == "Is it?"
    assert (exchange.assistant and exchange.assistant.text) == expected


def test_a_users_own_refrain_is_left_alone() -> None:
    assert marked(Turn(0, "user", LOOP)).finish is None


LETTER = (
    'Here is a mail: "Dear all, my name is Carl Weiss and I live in Hamburg. The meeting is on Tuesday." When is it?'
)


@pytest.mark.parametrize(
    ("said", "question", "stays"),
    [
        (LETTER, "Which city do I live in?", False),
        (LETTER, "What's my name?", False),
        (LETTER, "Where does he live?", True),  # not about the user
        (LETTER, "Do I have to be at the meeting?", True),  # about the mail
        (LETTER, "Is my name in that mail?", True),
        (LETTER, "And what do I need for that?", True),  # not in the notes
        ("Where is Hamburg?", "Where do I live?", True),  # the user's own words
        ('Say "we live here" in German.', "Where do I live?", False),
        ('Hier ist ein Brief: "Liebe alle, ich heiße Carl und wohne in Hamburg."', "Wo wohne ich?", False),
    ],
)
def test_others_who_speak_of_themselves_are_left_out_of_questions_about_the_user(
    said: str, question: str, stays: bool
) -> None:
    known = ["Ich wohne in Bergen."] if "Brief" in said else ["My name is Anna.", "I live in Bergen."]
    segments = tuple(Segment(at, f"r{at}", 0, len(text), text) for at, text in enumerate(known))
    notes = Profile(" ".join(known), 9, 99, 99, segments, (1.0,) * len(known), "m", "extractive")
    past = (Exchange(0, Turn(0, "user", said), Turn(1, "assistant", "Yes.")),)
    assert without_others(past, question, notes) == (past if stays else ())
    assert without_others(past, question, None) == past


@pytest.mark.parametrize(
    ("asked", "answer", "question", "stays"),
    [
        ("Where do I live?", "The user's name is Anna. She lives in Bergen.", "What is my name?", False),
        ("Where do I live?", "In Bergen, the rainy one.", "What is my name?", True),  # it says something of its own
        ("Where do I live?", "The user lives in Bergen.", "Are you sure?", True),  # not about the user
        ("Where do I live?", "The user lives in Bergen.", "I live in Bergen, by the sea.", True),  # no question
        ("Which city do I live in?", "The user lives in Bergen.", "Which city is my name from?", True),  # a shared word
    ],
)
def test_answers_that_only_repeat_the_notes_are_left_out_of_questions_that_the_notes_answer(
    asked: str, answer: str, question: str, stays: bool
) -> None:
    known = ["My name is Anna.", "I live in Bergen."]
    segments = tuple(Segment(at, f"r{at}", 0, len(text), text) for at, text in enumerate(known))
    text = "The user's name is Anna.\nThe user lives in Bergen."
    notes = Profile(text, 9, 99, 99, segments, (1.0, 1.0), "m", "extractive")
    past = (Exchange(0, Turn(0, "user", asked), Turn(1, "assistant", answer)),)
    assert without_others(past, question, notes) == (past if stays else ())


def test_greetings_and_thanks_are_left_out_of_later_prompts() -> None:
    said = ("Hello!", "Hi, I have a question.", "Danke schön!")
    past = [Exchange(at, Turn(at, "user", text), None) for at, text in enumerate(said)]
    assert [one.user.text for one in without_courtesies(past)] == [said[1]]


@pytest.fixture
def conversation(tmp_path: Path) -> Iterator[Conversation]:
    lens = lens_of()
    with Store(tmp_path / "store") as store:
        personalizer = Personalizer(lens.loaded, store=store, marker="attention", calibration=calibration_of(lens))
        yield personalizer.conversation("ann", "first", memory="recent-5", detector="patterns", budget=300)


def says(monkeypatch: pytest.MonkeyPatch, text: str, finish: Finish, opened: str = "") -> None:
    def steps() -> Iterator[list[str]]:
        yield [text]
        return [finish]

    monkeypatch.setattr(module, "generate_stream", lambda *given, **options: AnswerStream(steps()))  # type: ignore[arg-type]
    monkeypatch.setattr(module, "render_chat", lambda loaded, messages: f"prompt{opened}")


@pytest.mark.parametrize(
    "case",
    [
        ((LOOP, "repetition", ""), None),
        (("Half an", "length", ""), None),
        (("Hm.\n</think>\nBlue.", "stop", "<think>\n"), "Blue."),
        (("Hm. And then", "length", "<think>\n"), None),
    ],
)
def test_what_is_said_is_kept_whole_and_only_the_answer_is_read_again(
    conversation: Conversation, monkeypatch: pytest.MonkeyPatch, case: tuple[tuple[str, Finish, str], str | None]
) -> None:
    (text, finish, opened), answer = case
    with monkeypatch.context() as patched:
        says(patched, text, finish, opened)
        given = conversation.say("Which colour?")
    assert given.finish == finish
    assert conversation.turns[-1].text == (opened + text).strip()
    assert conversation.store is not None
    assert conversation.store.conversations.turns("ann", "first")[-1].finish == finish
    messages = conversation.context("And now?").messages
    assert "Which colour?" in "".join(one["content"] for one in messages)
    assert [one["content"] for one in messages if one["role"] == "assistant"] == ([answer] if answer else [])
    assert given.text == (answer or ("" if opened else text.strip()))


def test_a_prompt_does_not_grow_by_a_loop(conversation: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    before = conversation.context("And now?").tokens
    with monkeypatch.context() as patched:
        says(patched, LOOP, "repetition")
        conversation.say("Hello.")
    assert conversation.context("And now?").tokens <= before + 12
