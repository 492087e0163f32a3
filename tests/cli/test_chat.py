"""`penchant chat` without a terminal: one JSON document, turns from a pipe, and what is refused."""

from __future__ import annotations

import re
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from penchant.history.dialogue import Turn
from penchant.store import Store
from penchant.text.unicode import sanitize
from tests.commands import Home, Invoke, finished, process, write_history

TINY = ("chat", "--model", "{model}", "--max-tokens", "4", "--budget", "400")
ANN = (*TINY, "--user", "ann")
INSTRUCTION = "From now on, answer in one sentence."
TURN = {
    *(
        "number",
        "text",
        "answer",
        "answer_number",
        "finish",
        "model",
        "endpoint",
        "usage",
        "reasoning",
        "notice",
        "off_record",
        "forgotten",
        "given",
        "ended",
        "records",
        "tokens",
        "budget",
        "tokens_fed",
    ),
    *("instructions", "left_out", "kept", "notes", "seconds"),
}


def names(home: Home, user: str = "ann") -> list[str]:
    with Store(home.store) as store:
        return [entry.id for entry in store.conversations.list(user)]


def said(home: Home, name: str) -> list[str]:
    with Store(home.store) as store:
        return [turn.text for turn in store.conversations.turns("ann", name)]


def test_one_document(penchant: Invoke, home: Home) -> None:
    ran = penchant(*ANN, "--name", "tea", "--json", stdin=f"{INSTRUCTION}\n\n/help is said\nI live in Porto.\n")
    document = ran.document
    assert ran.err == ""
    assert (document["user"], document["conversation"], document["memory"]) == ("ann", "tea", "penchant")
    first, second, third = document["turns"]
    assert first.keys() == TURN
    assert [turn["text"] for turn in document["turns"]] == [INSTRUCTION, "/help is said", "I live in Porto."]
    assert [turn["number"] for turn in document["turns"]] == [0, 2, 4]
    assert [one["text"] for one in first["given"]] == [one["text"] for one in document["instructions"]] == [INSTRUCTION]
    assert second["instructions"] == [document["instructions"][0]["id"]]
    assert [one["exchange"] for one in third["kept"]] == [1]  # the first is in the notes
    assert third["kept"][0]["why"] in {"first", "recent"}
    assert third["records"]
    assert 0 < first["tokens"] < third["tokens"] <= 400
    assert {"detect", "notes", "context", "answer"} <= third["seconds"].keys()
    assert said(home, "tea")[1] == first["answer"]
    assert first["answer_number"] == 1


def test_a_conversation_goes_on(penchant: Invoke, home: Home) -> None:
    penchant(*ANN, "--name", "one", "--json", stdin="The first.\n")
    penchant(*ANN, "--name", "two", "--json", stdin="The second.\n")
    newest = penchant(*ANN, "--resume", "--json", stdin="Further.\n").document
    assert (newest["conversation"], newest["turns"][0]["number"]) == ("two", 2)
    known = penchant(*ANN, "--name", "one", "--resume", "--json", stdin="Further.\n").document
    assert len(known["turns"][0]["kept"]) == 1
    fresh = penchant(*ANN, "--json", stdin="Anew.\n").document
    assert fresh["turns"][0]["number"] == 0
    listed = penchant("chat", "--user", "ann", "--list", "--json").document["conversations"]
    assert [one["name"] for one in listed] == [fresh["conversation"], "one", "two"]
    assert (listed[1]["turns"], listed[1]["opening"]) == (4, "The first.")
    shown = penchant("chat", "--user", "ann", "--list")
    assert "The first." in shown.out


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers at the limit count as complete: a random model ends no answer."""
    monkeypatch.setattr(Turn, "cut", False)


def test_a_script_gets_the_answers_and_nothing_else_on_stdout(penchant: Invoke, home: Home) -> None:
    ran = penchant(*ANN, "--name", "tea", stdin='Hello.\n"""\nTwo\nlines"""\n//slash\nGoes \\\non\n')
    assert ran.code == 0
    turns = said(home, "tea")
    assert turns[::2] == ["Hello.", "Two\nlines", "/slash", "Goes \non"]
    assert ran.out.split() == sanitize(" ".join(turns[1::2])).split()
    assert ran.err.count("of 400 tokens") == 4
    assert "›" not in ran.out + ran.err


@pytest.mark.usefixtures("complete")
def test_the_commands(penchant: Invoke, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    lines = [
        "I live in Porto with a dog.", INSTRUCTION, "/instructions add Be kind.", "/instructions edit 1 Be brief.",
        "/instructions end 2", "/instructions all", "/why", "/history 2", "/search porto", "/facts", "/forget 0", "n",
        "/forget 0", "y", "/facts", "/resume", "/help", "/quit", "never said",
    ]  # fmt: skip
    ran = penchant(*ANN, "--notes", "0", "--name", "tea", stdin="\n".join(lines))
    assert ran.code == 0, ran
    flat = " ".join(ran.out.split())
    assert "Be kind." in flat
    assert "by “Be brief.”" in flat  # the one of turn 2 became it
    assert "tokens (" in flat
    assert re.search(r" 0 raw (one of the last exchanges|the first exchange)( [-.\d]+)? I live in Porto", flat)
    assert "you · turn 0 of tea" in flat
    assert "record said:tea:0" in flat
    assert "nothing was erased" in ran.err
    assert "erased: 2 turns (0, 1), 0 instructions, 1 record" in ran.err
    assert flat.index("record said:tea:0") < flat.index("nothing was learned in this conversation")
    assert "/instructions [all]" in flat
    assert said(home, "tea")[0] == INSTRUCTION
    with Store(home.store) as store:
        assert [one.text for one in store.conversations.instructions("ann", "tea") if one.active] == ["Be kind."]


def test_forget_all_erases_the_conversation(penchant: Invoke, home: Home) -> None:
    ran = penchant(*ANN, "--name", "tea", stdin=f"{INSTRUCTION}\n/forget all\ny\nAnother one.\n/history\n")
    assert ran.code == 0
    assert "erased: 2 turns (0, 1), 1 instruction, 0 records" in ran.err
    assert INSTRUCTION not in ran.out
    (name,) = names(home)
    assert name != "tea"
    assert said(home, name)[0] == "Another one."


def test_nothing_is_kept_of_a_conversation_in_which_nothing_was_said(penchant: Invoke, home: Home) -> None:
    assert penchant(*ANN, "--name", "tea", stdin="/history\n/instructions\n/new\n/search x\n").code == 0
    assert names(home) == []
    with Store(home.store) as store:
        assert list(store.users()) == []
    assert penchant(*ANN, "--name", "tea", stdin="/instructions add Be kind.\n").code == 0
    assert names(home) == ["tea"]


@pytest.mark.usefixtures("complete")
def test_what_cannot_be_done_is_one_line_and_the_rest_goes_on(penchant: Invoke, home: Home) -> None:
    lines = ["word " * 500, "/bogus", "/instructions end 3", "/forget 7", "/forget", "/resume none", "/retry", "/why",
             "Hello."]  # fmt: skip
    ran = penchant(*ANN, "--name", "tea", stdin="\n".join(lines))
    assert ran.code == 2
    told = [line for line in ran.err.splitlines() if "of 400 tokens" not in line and "be read again" not in line]
    assert len(told) == 8, told
    for part, line in zip(["over the conversation's budget", "/instructions, /why", "no instruction '3'", "no turn 7",
                           "numbers of turns", "no conversation 'none'", "nothing to answer again", "/why"], told,
                          strict=False):  # fmt: skip
        assert part in line
    assert said(home, "tea")[0] == "Hello."
    document = penchant(*ANN, "--name", "long", "--json", stdin=f"{'word ' * 500}\nHello.\n").document
    refused, answered = document["turns"]
    assert "budget" in refused["error"]
    assert refused["answer"] is None
    assert answered["number"] == 0


def test_a_missing_answer_is_shown_and_given(penchant: Invoke, home: Home) -> None:
    with Store(home.store) as store:
        store.conversations.open("ann", "tea", when=datetime.now(UTC))
        store.conversations.add("ann", "tea", Turn(0, "user", INSTRUCTION, datetime.now(UTC)))
    ran = penchant(*ANN, "--resume", stdin="/history\n/retry\n/history\n/instructions\n")
    before, _, after = ran.out.partition("(the answer is missing)")
    assert INSTRUCTION in before
    assert "missing" not in after
    assert "turn 0" in after
    assert len(said(home, "tea")) == 2


def test_system_prompts(penchant: Invoke, home: Home, tmp_path: Path) -> None:
    file = tmp_path / "system.txt"
    file.write_text("You are a sailor.\n", encoding="utf-8")
    bare = penchant(*ANN, "--json", stdin="Hello.\n").document["turns"][0]["tokens"]
    document = penchant(*ANN, "--name", "sea", "--system-file", file, "--json", stdin="Hello.\n").document
    assert document["turns"][0]["tokens"] > bare
    listed = penchant("chat", "--user", "ann", "--list", "--json").document["conversations"]
    assert {one["name"]: one["system"] for one in listed}["sea"] == "You are a sailor."
    resumed = penchant(*ANN, "--name", "sea", "--json", stdin="Hello.\n").document
    assert resumed["turns"][0]["number"] == 2
    # An error makes it read the conversation again: with the prompt that it had, not that of new ones.
    lines = "Hello.\n/resume sea\n/bogus\nHello.\n/new\nHello.\n"
    penchant(*ANN, "--name", "land", "--system", "You are a farmer.", stdin=lines)
    listed = penchant("chat", "--user", "ann", "--list", "--json").document["conversations"]
    found = {one["name"]: (one["system"], one["turns"]) for one in listed}
    assert found["sea"] == ("You are a sailor.", 6)
    assert found["land"] == ("You are a farmer.", 2)
    assert listed[0]["name"] not in {"sea", "land"}
    assert listed[0]["system"] == "You are a farmer."


def test_the_history_is_in_the_prompt_and_not_without_room_for_it(penchant: Invoke, tmp_path: Path) -> None:
    path = write_history(tmp_path / "history.jsonl")
    assert penchant("import", "jsonl", path, "--user", "ann", "--json").document["added"] == 6
    asked: dict[str, Any] = {"stdin": "Where do I like to walk?\n"}
    noted = penchant(*ANN, "--json", **asked).document["turns"][0]
    assert noted["notes"]
    assert {one["record"] for one in noted["notes"]} <= {f"r{i}" for i in range(6)}
    bare = penchant(*ANN, "--notes", "0", "--json", **asked).document["turns"][0]
    assert bare["notes"] == []
    assert bare["tokens"] < noted["tokens"]


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("--name", "none", "--resume"), "no conversation 'none'"),
        (("--resume",), "no conversation to continue"),
        (("--budget", "512"), "512"),
        (("--budget", "0"), "budget"),
        (("--memory", "elephant"), "elephant"),
        (("--detector", "nose"), "nose"),
        (("--notes", "1"), "notes"),
        (("--temperature", "nan"), "temperature"),
        (("--temperature", "-1"), "temperature"),
        (("--max-tokens", "0"), "max-tokens"),
        (("--system", "a", "--system-file", "b"), "choose one"),
        (("--system-file", "nowhere.txt"), "nowhere.txt"),
        (("--name", ""), "conversation"),
        (("--device", "abacus"), "abacus"),
    ],
)
def test_bad_options_are_one_line(penchant: Invoke, home: Home, options: tuple[str, ...], part: str) -> None:
    assert part in penchant(*ANN, *options, stdin="Hello.\n").reason()
    assert names(home) == []


@pytest.mark.parametrize("user", ["", "a\nb"])
def test_a_user_that_is_none(penchant: Invoke, user: str) -> None:
    assert "user" in penchant(*TINY, "--user", user, stdin="Hello.\n").reason()


@pytest.mark.slow
def test_what_was_said_before_ctrl_c_in_a_script_is_kept(home: Home) -> None:
    arguments = [str(part).replace("{model}", str(home.model)) for part in (*ANN, "--name", "tea")]
    running = process(home, *arguments)
    assert running.stderr is not None
    running.stdin.write("Hello.\n")
    running.stdin.flush()
    assert "of 400 tokens" in running.stderr.readline()  # it waits for more
    running.send_signal(signal.SIGINT)
    ran = finished(running)
    assert ran.code == 130
    assert ran.err == "penchant: interrupted; everything that was acknowledged is kept\n"
    assert len(said(home, "tea")) == 2
