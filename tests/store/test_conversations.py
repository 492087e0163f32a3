"""Conversations in the store: what goes in comes back, in order, from one writer at a time."""

import json
import signal
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from datetime import UTC

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penchant.errors import InputError, UnknownUserError
from penchant.history.dialogue import Instruction, Turn, exchanges
from penchant.store import UserEntry
from tests.store.conversation_cases import START, at, said, talk

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
FINISHES = (None, "stop", "length", "repetition", "interrupted")
TIMES = st.none() | st.datetimes(timezones=st.just(UTC))


@pytest.fixture
def store(open_store, tmp_path):
    with open_store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def talks(store):
    return store.conversations


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    turns=st.lists(
        st.tuples(st.sampled_from(["user", "assistant"]), TEXT, TIMES, st.sampled_from(FINISHES)), max_size=5
    ),
    system=st.none() | TEXT,
)
def test_turns_come_back_as_they_were(open_store, tmp_path_factory, turns, system):
    kept = [Turn(number, *fields) for number, fields in enumerate(turns)]
    folder = tmp_path_factory.mktemp("store")
    with open_store(folder) as store:
        store.conversations.open("u", "c", system=system, when=START)
        for turn in kept:
            store.conversations.add("u", "c", turn)
    with open_store(folder) as store:
        assert store.conversations.turns("u", "c") == kept
        (entry,) = store.conversations.list("u")
        times = [turn.when for turn in kept if turn.when]
        assert (entry.system, entry.turns, entry.next) == (system, len(kept), len(kept))
        assert (entry.begun, entry.last) == (START, max(times, default=None))


INSTRUCTIONS = st.builds(
    Instruction,
    id=st.just("i"),
    text=TEXT,
    turn=st.none() | st.just(0),
    conversation=st.just("c"),
    scope=st.sampled_from(["conversation", "always", "until"]),
    until=st.none() | TEXT,
    slot=st.none() | TEXT,
    added=TIMES,
    ended=TIMES,
    ended_by=st.none() | TEXT,
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(one=INSTRUCTIONS)
def test_instructions_come_back_as_they_were(open_store, tmp_path_factory, one):
    direct = replace(one, id="j", conversation="", turn=None)
    with open_store(tmp_path_factory.mktemp("store")) as store:
        talk(store.conversations, "u", "c", "hello")
        store.conversations.put("u", one, direct)
        assert store.conversations.instructions("u", None) == [one, direct]


def test_opening_again_keeps_what_is_there(talks):
    first = talks.open("u", "c", system="Be brief.", when=START)
    assert (first.id, first.system, first.turns, first.next, first.last) == ("c", "Be brief.", 0, 0, None)
    talks.add("u", "c", said("hello there")[0])
    again = talks.open("u", "c", when=at(99))
    assert (again.system, again.begun, again.turns, again.next) == ("Be brief.", START, 1, 1)
    assert talks.open("u", "c", system="Be kind.", when=at(99)).system == "Be kind."
    assert talks.open("u", "c", system="", when=at(99)).system is None
    assert talks.turns("u", "c") == said("hello there")


def test_the_list_has_the_last_spoken_in_first_and_says_how_it_began(talks):
    talk(talks, "u", "long ago", "one", "two", "three")
    talk(talks, "u", "empty")
    talk(talks, "u", "lately", "first\x1b[31m line\n of " + "many words " * 20, "b", "c", "d", "e")
    talk(talks, "v", "other", "nobody's business", "b", "c", "d", "e", "f")
    talks.open("u", "answered", when=START)
    talks.add("u", "answered", Turn(0, "assistant", "Welcome!", at(1)))
    talks.add("u", "answered", Turn(1, "user", "Hi.", None))
    found = {entry.id: entry for entry in talks.list("u")}
    assert list(found) == ["lately", "long ago", "answered", "empty"]
    assert [found[name].opening for name in ("long ago", "answered", "empty")] == ["one", "Hi.", ""]
    assert found["lately"].opening.startswith("first [31m line of many words many")
    assert found["lately"].opening.endswith("…")
    assert len(found["lately"].opening) <= 80
    assert (found["lately"].turns, found["lately"].last) == (5, at(4))


def test_only_the_next_number_is_taken(talks):
    talk(talks, "u", "c", "one", "two")
    for number in (0, 1, 3, -1):
        with pytest.raises(InputError, match=rf"turn {number} can't be added to conversation 'c': expected number 2"):
            talks.add("u", "c", Turn(number, "user", "x"))
    assert talks.turns("u", "c") == said("one", "two")
    assert talks.turns("u", "c", after=0) == said("one", "two")[1:]
    assert talks.turns("u", "c", after=1) == []


def test_two_threads_cant_interleave_silently(store):
    store.conversations.open("u", "c", when=START)
    wins, refusals, go = [], [], threading.Barrier(2)

    def write(name):
        for number in range(25):
            go.wait()
            try:
                store.conversations.add("u", "c", Turn(number, "user", f"{name} {number}"))
                wins.append(f"{name} {number}")
            except InputError:
                refusals.append(name)

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == len(refusals) == 25
    assert [turn.text for turn in store.conversations.turns("u", "c")] == wins


def test_kill_between_two_turns_loses_nothing_acknowledged(open_store, places, tmp_path):
    code = """
        import sys
        from datetime import UTC, datetime
        from penchant.history.dialogue import Turn
        from penchant.store import Store
        talks = Store(*sys.argv[1:]).conversations
        talks.open("u", "c", when=datetime.now(UTC))
        for number in range(10**6):
            talks.add("u", "c", Turn(number, ("user", "assistant")[number % 2], f"turn {number} " * 50))
            print(number, flush=True)
    """
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *places.arguments(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    told = [int(writer.stdout.readline()) for _ in range(21)][-1]
    writer.send_signal(signal.SIGKILL)
    told = max([told, *map(int, writer.communicate(timeout=60)[0].split("\n")[:-1])])
    with open_store(tmp_path) as store:
        kept = store.conversations.turns("u", "c")
        assert len(kept) - 1 in (told, told + 1)
        assert [turn.text for turn in kept] == [f"turn {number} " * 50 for number in range(len(kept))]
        assert store.conversations.open("u", "c", when=START).next == len(kept)
        store.conversations.add("u", "c", Turn(len(kept), "user", "on we go"))


def test_a_missing_answer_is_seen(talks):
    talk(talks, "u", "c", "one", "two", "three")
    assert [one.assistant is None for one in exchanges(talks.turns("u", "c"))] == [False, True]


def test_which_instructions_are_given_where(talks):
    for name in ("a", "b"):
        talk(talks, "u", name, "hello")
    talk(talks, "v", "a", "hello")
    here = Instruction("1", "Use metres.", "a", 0)
    lasting = Instruction("2", "Call me Kim.", "b", 0, "always", added=START)
    ended = Instruction("3", "Be brief.", "a", None, ended=at(1), ended_by="user")
    elsewhere = Instruction("4", "Rhyme.", "b", 0, "until", "the poem is done")
    direct = Instruction("5", "No emoji.", scope="always")
    talks.put("u", here, lasting, ended)
    talks.put("u", elsewhere, direct)
    talks.put("v", Instruction("1", "Shout.", "a", 0, "always"))
    assert talks.instructions("u", "a") == [here, lasting, ended, direct]
    assert talks.instructions("u", "b") == [lasting, elsewhere, direct]
    assert talks.instructions("u", "not there yet") == [lasting, direct]
    assert talks.instructions("u", None) == [here, lasting, ended, elsewhere, direct]


def test_an_instruction_is_changed_in_its_place(talks):
    talk(talks, "u", "a", "hello")
    talk(talks, "u", "b", "hello")
    talks.put("u", Instruction("1", "Use metres.", "a", 0), Instruction("2", "Be brief.", "a", 0))
    changed = Instruction("1", "Use metres.", "a", 0, ended=at(3), ended_by="2", slot="units")
    talks.put("u", changed)
    assert talks.instructions("u", "a") == [changed, Instruction("2", "Be brief.", "a", 0)]
    with pytest.raises(InputError, match="instruction '1' was given in another conversation"):
        talks.put("u", Instruction("3", "New.", "b", 0), Instruction("1", "Other.", "b", 0))
    assert talks.instructions("u", "b") == []


def test_an_instruction_needs_its_conversation_and_turn(talks):
    talk(talks, "u", "c", "hello")
    with pytest.raises(InputError, match="user 'u' has no conversation 'x'"):
        talks.put("u", Instruction("1", "Rhyme.", "x"))
    for lost in (Instruction("1", "Rhyme.", "c", 1), Instruction("1", "Rhyme.", "", 0)):
        with pytest.raises(InputError, match=r"instruction '1' stands in turn \d of .* which isn't there"):
            talks.put("u", Instruction("0", "Kept?", "c", 0), lost)
    assert talks.instructions("u", None) == []
    talks.put("new", Instruction("1", "Rhyme.", scope="always"))
    assert [one.id for one in talks.instructions("new", "c")] == ["1"]


def test_search_finds_turns_of_all_conversations(talks):
    talk(talks, "u", "a", "My sister keeps bees near Utrecht.", "Bees like lavender.", "Tell me about trains.")
    talk(talks, "u", "b", "How far is Utrecht by train?", "Forty minutes by train; trains leave hourly.")
    talk(talks, "v", "a", "Bees, bees, bees.")
    found = talks.search("u", "bees near Utrecht")
    assert [(one.conversation, one.turn.number) for one in found] == [("a", 0), ("b", 0), ("a", 1)]
    assert found[0].turn == said("My sister keeps bees near Utrecht.")[0]
    assert found[0].score > found[1].score == found[2].score > 0  # of two as good the newer one is first
    assert len(talks.search("u", "bees near Utrecht", limit=2)) == 2
    assert talks.search("u", "zeppelin") == []
    with pytest.raises(InputError, match="a search for 0 turns"):
        talks.search("u", "bees", limit=0)


def test_export_takes_everything_along(talks):
    talk(talks, "u", "c", "Olá ☕", "Oi", system="Be kind.")
    talks.add("u", "c", Turn(2, "user", "x", None))
    talks.add("u", "c", Turn(3, "assistant", "cut", at(3), finish="interrupted"))
    talks.put("u", Instruction("i", "Rhyme.", "c", 0, added=START))
    lines = [json.loads(line) for line in talks.export("u")]
    assert lines[0] == {
        "conversation": "c", "number": None, "role": "system", "text": "Be kind.", "when": "2025-03-01T09:00:00+00:00"
    }  # fmt: skip
    assert [(line["number"], line["text"], line.get("stopped", False)) for line in lines[1:5]] == [
        (0, "Olá ☕", False), (1, "Oi", False), (2, "x", False), (3, "cut", True)
    ]  # fmt: skip
    assert [line.get("finish") for line in lines[1:5]] == [None, None, None, "interrupted"]
    assert lines[3]["when"] is None
    assert lines[5]["instruction"]["text"] == "Rhyme."
    assert len(lines) == 6
    with pytest.raises(UnknownUserError):
        talks.export("nobody")


def test_who_and_what_isnt_there(store, talks):
    assert (talks.list("x"), talks.instructions("x", None), talks.search("x", "y")) == ([], [], [])
    for use in (
        lambda: talks.turns("x", "c"),
        lambda: talks.add("x", "c", said("a")[0]),
        lambda: talks.forget("x", "c"),
    ):
        with pytest.raises(UnknownUserError, match="no user 'x' in the store"):
            use()
    talks.open("x", "c", when=START)
    for use in (talks.turns, talks.forget, lambda user, name: talks.add(user, name, said("a")[0])):
        with pytest.raises(InputError, match="user 'x' has no conversation 'd': expected one that was opened"):
            use("x", "d")
    assert list(store.users()) == [UserEntry("x", 0)]
    assert (store.count("x"), len(store.history("x")), list(store.export("x"))) == (0, 0, [])
