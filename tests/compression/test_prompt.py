from datetime import datetime

from penchant.compression.layout import lay_out
from penchant.compression.profile import Profile
from penchant.compression.prompt import answer_messages, answer_notes
from penchant.history.records import History, Record, Request
from tests.compression.cases import whole_records


def test_notes_and_request_are_verbatim() -> None:
    system, user = answer_messages("8 May 2023:\nI like <b>tea</b>.", Request("What do I drink?"))
    assert (system["role"], user["role"]) == ("system", "user")
    assert user["content"] == "Notes about me:\n8 May 2023:\nI like <b>tea</b>.\n\nQuestion: What do I drink?"
    assert "notes" in system["content"]


def test_a_task_stands_before_the_query() -> None:
    system, user = answer_messages("I like puns.", Request("A cake that fell.", task="Write a title."))
    assert user["content"].endswith("Write a title.\n\nA cake that fell.")
    assert "Question" not in user["content"]
    assert system["content"] != answer_messages("I like puns.", Request("A cake that fell."))[0]["content"]


def test_without_a_profile_nothing_speaks_of_notes() -> None:
    for nothing in (None, "", " \n"):
        for request in (Request("What?"), Request("What?", task="Answer.")):
            assert all("notes" not in m["content"].lower() for m in answer_messages(nothing, request))
    assert answer_messages(None, Request("What?"))[1]["content"] == "Question: What?"


def _profile(history: History, text: str | None = None) -> Profile:
    segments = whole_records(history)
    text = lay_out(history, segments) if text is None else text
    return Profile(text, 9, 9, 9, tuple(segments), tuple(float(-at) for at in range(len(segments))), "m", "extractive")


def test_notes_of_an_answer_have_days_where_the_request_is_about_a_time() -> None:
    some = ["Had the piano tuned.", "Bought pears."]
    history = History([Record(text, when=datetime(2025, 4, at)) for at, text in enumerate(some, 1)])
    profile = _profile(history)
    assert answer_notes(history, profile, Request("When was the piano tuned?")) == profile.text
    assert answer_notes(history, profile, Request("What did I do last week?")) == profile.text
    assert answer_notes(history, profile, Request("Who tunes the piano?")) == "\n".join(some)
    rewritten = _profile(history, "The piano was tuned on 1 April 2025.")
    assert answer_notes(history, rewritten, Request("Who tunes the piano?")) == rewritten.text


def test_notes_of_two_records_on_one_subject_say_which_is_newer() -> None:
    pair = ["The choir meets on Tuesdays.", "The choir meets on Thursdays now."]
    history = History([Record(text, when=datetime(2025, 4, at)) for at, text in enumerate(pair, 1)])
    assert answer_notes(history, _profile(history), Request("Who leads the choir?")) == _profile(history).text
