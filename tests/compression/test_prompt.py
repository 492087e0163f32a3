from penchant.compression.prompt import answer_messages
from penchant.history.records import Request


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
