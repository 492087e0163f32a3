"""Erasing turns and conversations: no byte of them is left, and what is left is what was there without them."""

import pytest
import torch

from penchant.errors import InputError, StoreError, UnknownUserError
from penchant.history.dialogue import Instruction, Turn
from penchant.history.records import Record
from penchant.store import UserEntry
from penchant.store import engine as database
from penchant.store.erasure.lineage import append_lines, derived_line, read_rows, save_rows, source_of
from tests.postgres import on_plain_text
from tests.store.erasure.contents import holding
from tests.store.erasure.turn_cases import START, fill, filled, instruction, kept, record, turn, words


@pytest.fixture
def store(open_store, tmp_path):
    with filled(open_store(tmp_path / "store")) as opened:
        yield opened


@on_plain_text
def test_forget_turns_leaves_no_byte_of_them(store):
    ann = kept(store, "ann")
    cache = store.conversation_dir("bob", "a")
    other = store.conversation_dir("bob", "b")
    for folder in (cache, other, store.conversation_dir("ann", "a"), store.index_dir("bob")):
        folder.mkdir(parents=True)
        (folder / "keys").write_bytes(turn("bob", "a", 4).text.encode() if folder == cache else b"kept")
    assert holding(store, turn("bob", "a", 5).text)
    assert store.conversations.forget_turns("bob", "a", [4, 5, 4]) == ("a-4",)
    for number in (4, 5):
        assert holding(store, turn("bob", "a", number).text) == []
    assert (cache.exists(), other.exists(), store.conversation_dir("ann", "a").exists()) == (False, True, True)
    assert not store.index_dir("bob").exists()
    assert [one.number for one in store.conversations.turns("bob", "a")] == [n for n in range(12) if n not in (4, 5)]
    assert [one.id for one in store.conversations.instructions("bob", "a")] == ["a-s", "a-0", "a-6"]
    assert [one.id for one in store.history("bob")] == ["a-2", "b-2", "b-4", "file", "x"]
    assert kept(store, "ann") == ann
    assert not list(store.directory.glob("erasing-*"))


def test_forgetting_turns_equals_never_having_had_them(store, open_store, tmp_path):
    store.conversations.forget_turns("bob", "a", [0, 4, 5, 7])
    with open_store(tmp_path / "rebuilt") as rebuilt:
        fill(rebuilt, "bob", "a", numbers=(), given=(), facts=())
        for number in range(12):  # numbers have to be passed over in a store that never had them
            if number in (0, 4, 5, 7):
                with database.writing(rebuilt._engine) as connection:
                    connection.exec_driver_sql("UPDATE conversations SET next = next + 1")
            else:
                rebuilt.conversations.add("bob", "a", turn("bob", "a", number))
        rebuilt.conversations.put("bob", instruction("bob", "a", 6))
        rebuilt.add("bob", [record("bob", "a", 2)])
        fill(rebuilt, "bob", "b")
        rebuilt.add("bob", [Record("from a file", id="file"), Record("other", id="x", meta={"conversation": "a"})])
        assert kept(store, "bob") == kept(rebuilt, "bob")


def test_numbers_are_never_used_again(store):
    talks = store.conversations
    talks.forget_turns("bob", "a", [10, 11])
    assert talks.open("bob", "a", when=START).next == 12
    with pytest.raises(InputError, match="expected number 12"):
        talks.add("bob", "a", turn("bob", "a", 10))
    talks.add("bob", "a", turn("bob", "a", 12))
    talks.forget_turns("bob", "a", [one.number for one in talks.turns("bob", "a")])
    (empty,) = (entry for entry in talks.list("bob") if entry.id == "a")
    assert (empty.turns, empty.next, empty.last, empty.opening) == (0, 13, None, "")
    assert [one.id for one in talks.instructions("bob", "a")] == ["a-s"]


def test_all_of_the_turns_or_none(store):
    before = kept(store, "bob")
    for numbers in ([0, 99], [-1], [12, 0]):
        with pytest.raises(
            InputError, match=r"conversation 'a' has no turn -?\d+: expected the number of an existing turn"
        ):
            store.conversations.forget_turns("bob", "a", numbers)
    assert store.conversations.forget_turns("bob", "a", []) == ()
    assert kept(store, "bob") == before
    assert not list(store.directory.glob("erasing-*"))


def test_forget_erases_the_conversation_alone(store):
    ann = kept(store, "ann")
    lasting = instruction("bob", "b", 8, "always")
    store.conversations.put("bob", lasting, instruction("bob", "a", 8, "always"), Instruction("own", "Use metres."))
    assert store.conversations.forget("bob", "a") == ("a-2", "a-4", "x")
    for number in range(12):
        assert holding(store, turn("bob", "a", number).text) == []
    assert holding(store, words("bob a system")) == []
    assert [entry.id for entry in store.conversations.list("bob")] == ["b"]
    assert [one.id for one in store.conversations.instructions("bob", "a")] == ["b-8"]
    ids = [one.id for one in store.conversations.instructions("bob", None)]
    assert ids == ["b-s", "b-0", "b-4", "b-6", "b-8", "own"]
    assert store.conversations.turns("bob", "b") == [turn("bob", "b", number) for number in range(12)]
    assert [one.id for one in store.history("bob")] == ["b-2", "b-4", "file"]
    assert kept(store, "ann") == ann
    assert store.conversations.open("bob", "a", when=START).next == 0


def test_the_index_of_the_records_stays_when_its_rows_are_dropped_by_the_caller(store):
    store.index_dir("bob").mkdir(parents=True)
    store.conversations.forget_turns("bob", "a", [6])  # became no record
    assert store.index_dir("bob").exists()
    assert store.conversations.forget_turns("bob", "a", [4], keep_index=True) == ("a-4",)
    assert store.index_dir("bob").exists()
    store.conversations.forget("bob", "b")
    assert not store.index_dir("bob").exists()


def test_what_was_derived_from_the_records_goes_everywhere(store):
    lines = store.user_dir("contrasts", "ann") / "contrasts.jsonl"
    append_lines(lines, [derived_line({"n": n}, [source_of("bob", f"a-{n}")]) for n in (2, 4)])
    rows = store.user_dir("banks", "ann") / "rows.safetensors"
    save_rows(rows, {"x": torch.arange(2.0)}, [[source_of("bob", "a-4")], [source_of("ann", "a-4")]])
    store.conversations.forget_turns("bob", "a", [4])
    assert lines.read_text().count("\n") == 1
    assert read_rows(rows)[0]["x"].tolist() == [1.0]
    store.conversations.forget("bob", "a")
    assert not lines.exists()


def test_records_by_their_exact_conversation_and_turn(store):
    odd = [
        Record("true is no number", id="1", meta={"conversation": "a", "turn": True}),
        Record("another case", id="2", meta={"conversation": "A", "turn": 4}),
        Record("deeper", id="3", meta={"note": {"conversation": "a", "turn": 4}}),
        Record("as text", id="4", meta={"conversation": "a", "turn": "4"}),
    ]
    store.add("bob", odd)
    assert store.conversations.forget_turns("bob", "a", [1, 4]) == ("a-4",)
    assert store.conversations.forget("bob", "a") == ("a-2", "x", "1", "4")


def test_a_user_goes_with_the_last_thing_kept(store):
    talks = store.conversations
    talks.open("kim", "c", when=START)
    talks.add("kim", "c", Turn(0, "user", "hello"))
    store.add("kim", [Record("fact", id="r", meta={"conversation": "c", "turn": 0}), Record("more", id="s")])
    (store.user_dir("memories", "kim")).mkdir(parents=True)
    store.conversation_dir("kim", "c").mkdir(parents=True)
    store.forget_record("kim", "r", "s")
    assert not store.user_dir("memories", "kim").exists()
    assert store.conversation_dir("kim", "c").exists()
    assert UserEntry("kim", 0) in list(store.users())
    assert [one.text for one in talks.turns("kim", "c")] == ["hello"]
    talks.put("kim", Instruction("own", "Use metres."))
    talks.forget("kim", "c")
    assert [one.id for one in talks.instructions("kim", None)] == ["own"]
    talks.open("ned", "c", when=START)
    for area in ("memories", "indexes"):
        store.user_dir(area, "ned").mkdir(parents=True)
    talks.forget("ned", "c")
    assert [store.user_dir(area, "ned").exists() for area in ("memories", "indexes")] == [False, False]
    assert [entry.user for entry in store.users()] == ["ann", "bob", "kim"]
    assert store.forget("kim").instructions == 1


def test_forgetting_the_user_counts_and_looks_for_everything_said(store):
    mine = [turn("bob", name, number).text for name in "ab" for number in range(12)]
    ann = kept(store, "ann")
    direct = Instruction("own", words("direct"), scope="until", until=words("until"))
    store.conversations.put("bob", direct)
    store.conversation_dir("bob", "a").mkdir(parents=True)
    (store.conversation_dir("bob", "a") / "keys").write_bytes(mine[0].encode())
    receipt = store.forget("bob")
    assert (receipt.conversations, receipt.turns, receipt.instructions, receipt.records) == (2, 24, 9, 6)
    assert receipt.files == 1
    assert receipt.searched > 24 * 12
    assert receipt.shared == 0
    for text in (*mine, words("bob a system"), direct.text, direct.until):
        assert holding(store, text) == []
    assert not store.conversation_dir("bob", "a").parent.exists()
    assert kept(store, "ann") == ann
    with pytest.raises(UnknownUserError):
        store.conversations.turns("bob", "a")


@on_plain_text
@pytest.mark.parametrize("what", ["turn", "system", "instruction", "until"])
def test_a_copy_of_what_was_said_is_found_and_what_others_said_too_explains_it(store, what):
    text = words("said by both")
    talks = store.conversations
    for user in ("bob", "ann"):
        talks.open(user, "c", system=text if what == "system" else None, when=START)
        if what == "turn":
            talks.add(user, "c", Turn(0, "user", text))
        if what == "instruction":
            talks.put(user, Instruction("i", text, "c"))
        if what == "until":
            talks.put(user, Instruction("i", "Rhyme.", "c", None, "until", text))
    assert store.forget("bob").shared == 13
    stray = store.directory / "stray.bin"
    stray.write_bytes(text.encode())
    with pytest.raises(StoreError, match=r"erased texts are still found in .*stray\.bin"):
        store.forget("ann")
