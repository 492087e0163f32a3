"""Conversations in the store: names and texts of any kind, older stores and busy ones."""

import json
import sqlite3
from datetime import datetime

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from penchant.errors import InputError, StoreError
from penchant.history.dialogue import Instruction, Turn
from penchant.history.records import Record
from penchant.store import Store, UserEntry
from penchant.store import engine as database
from tests.store.conversation_cases import START, at, said, talk


@pytest.fixture
def store(open_store, tmp_path):
    with open_store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def talks(store):
    return store.conversations


@pytest.mark.parametrize("name", ["'; DROP TABLE turns; --", '"%_\\', "../../etc/passwd", "🐝" * 1000, "a/b"])
def test_any_printable_id_will_do(store, name):
    talk(store.conversations, name, name, "hello")
    talk(store.conversations, name, "other", "hello")
    store.conversations.put(name, Instruction(name, "Rhyme.", name, 0))
    store.add(name, [Record("x", meta={"conversation": name, "turn": 0}), Record("y", id="y")])
    folder = store.conversation_dir(name, name)
    assert folder.resolve().parent == folder.parent
    assert folder.parents[1] == store.directory / "episodes"
    assert [entry.id for entry in store.conversations.list(name)][-1] == name
    store.conversations.forget(name, name)
    assert [entry.id for entry in store.conversations.list(name)] == ["other"]
    assert [record.id for record in store.history(name)] == ["y"]


@pytest.mark.parametrize("name", ["", "a\x00b", "half \ud800", "x" * 1001, "two\nlines"])
def test_ids_that_cant_be_used(store, name):
    talks = store.conversations
    talk(talks, "u", "c", "hello")
    for use in (
        lambda: talks.open("u", name, when=START),
        lambda: talks.turns("u", name),
        lambda: talks.add("u", name, said("x")[0]),
        lambda: talks.forget("u", name),
    ):
        with pytest.raises(InputError, match=r"conversation id .* can't be used: expected 1 to 1000 printable"):
            use()
    with pytest.raises(InputError, match=r"user id .* can't be used"):
        talks.open(name, "c", when=START)
    with pytest.raises(InputError, match=r"instruction id .* can't be used"):
        talks.put("u", Instruction(name, "Rhyme.", "c", 0))
    assert [entry.id for entry in talks.list("u")] == ["c"]
    assert store.count() == 1


def test_what_cant_be_stored_is_named(store):
    talks = store.conversations
    with pytest.raises(InputError, match=r"the system prompt of conversation 'c' can't be stored .*whole characters"):
        talks.open("u", "c", system="half \ud83d", when=START)
    with pytest.raises(InputError, match="begins at a time without a zone"):
        talks.open("u", "c", when=datetime(2025, 1, 1))
    assert store.count() == 0
    talks.open("u", "c", when=START)
    for turn, why in (
        (Turn(0, "user", "half \ud83d"), "whole characters"),
        (Turn(0, "user", "x", datetime(2025, 1, 1)), "no zone"),
        (Turn(0, "system", "x"), "expected user or assistant"),
    ):
        with pytest.raises(InputError, match=rf"turn 0 can't be stored.*{why}"):
            talks.add("u", "c", turn)
    for one, why in (
        (Instruction("i", "half \ud83d"), "whole characters"),
        (Instruction("i", " \n"), "is empty"),
        (Instruction("i", "x", scope="forever"), "expected conversation, always or until"),
        (Instruction("i", "x", added=datetime(2025, 1, 1)), "no zone"),
    ):
        with pytest.raises(InputError, match=rf"instruction 'i' .*{why}"):
            talks.put("u", Instruction("j", "Fine."), one)
    assert (talks.turns("u", "c"), talks.instructions("u", None)) == ([], [])


def test_a_store_of_the_old_schema_is_brought_up_to_date(tmp_path):
    engine = database.open_engine(sa.URL.create("sqlite", database=str(tmp_path / "penchant.db")))
    config = Config()
    config.set_main_option("script_location", str(database.Path(database.__file__).parent / "migrations"))
    with database.writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    records = [
        Record(f"old text {i} ü", id=str(i), reply="r", label=i, when=at(i), kind="k", meta={"a": i}) for i in range(9)
    ]
    with sqlite3.connect(tmp_path / "penchant.db") as raw:
        assert {name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")} == {
            "alembic_version", "users", "records"
        }  # fmt: skip
        raw.execute("INSERT INTO users VALUES (4, 'kim'), (7, 'empty')")
        for one in records:
            when = round(one.when.timestamp()) * 1_000_000
            row = (4, one.id, one.content_hash(), one.text, "r", str(one.label), when, "k", json.dumps(dict(one.meta)))
            fields = 'user, id, hash, text, reply, label, "when", kind, meta'
            raw.execute(f"INSERT INTO records ({fields}) VALUES (?,?,?,?,?,?,?,?,?)", row)
    for _ in range(2):
        with Store(tmp_path) as store:
            assert store.history("kim").records == tuple(records)
            assert list(store.users()) == [UserEntry("empty", 0), UserEntry("kim", 9)]
            assert store.add("kim", records).unchanged == 9
            assert store.conversations.list("kim") == []
    with Store(tmp_path) as store:
        talk(store.conversations, "kim", "c", "hello")
        assert store.forget("kim").records == 9


def test_a_busy_store_is_named_and_nothing_is_kept_by_halves(tmp_path, monkeypatch):
    with Store(tmp_path):
        pass
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    with Store(tmp_path) as store, sqlite3.connect(tmp_path / "penchant.db", isolation_level=None) as raw:
        store.conversations.open("u", "c", when=START)
        raw.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process held it"):
            store.conversations.add("u", "c", said("x")[0])
        raw.execute("ROLLBACK")
        store.conversations.add("u", "c", said("x")[0])
        assert store.conversations.turns("u", "c") == said("x")


def test_answers_that_were_stopped_say_so_in_the_new_schema(tmp_path):
    engine = database.open_engine(sa.URL.create("sqlite", database=str(tmp_path / "penchant.db")))
    config = Config()
    config.set_main_option("script_location", str(database.Path(database.__file__).parent / "migrations"))
    with database.writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        connection.exec_driver_sql("INSERT INTO users (key, id) VALUES (1, 'kim')")
        connection.exec_driver_sql("INSERT INTO conversations VALUES (1, 1, 'c', NULL, 0, 2)")
        connection.exec_driver_sql("INSERT INTO turns VALUES (1, 1, 0, 'user', 'Hi.', 5, 0)")
        connection.exec_driver_sql("INSERT INTO turns VALUES (2, 1, 1, 'assistant', 'Hel', 6, 1)")
    engine.dispose()
    with Store(tmp_path) as store:
        assert [(turn.text, turn.finish) for turn in store.conversations.turns("kim", "c")] == [
            ("Hi.", None), ("Hel", "interrupted")
        ]  # fmt: skip
        store.conversations.add("kim", "c", Turn(2, "user", "And?"))


def test_conversations_of_the_schema_before_are_on_the_record(tmp_path):
    engine = database.open_engine(sa.URL.create("sqlite", database=str(tmp_path / "penchant.db")))
    config = Config()
    config.set_main_option("script_location", str(database.Path(database.__file__).parent / "migrations"))
    with database.writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        connection.exec_driver_sql("INSERT INTO users (key, id) VALUES (1, 'kim')")
        connection.exec_driver_sql("INSERT INTO conversations VALUES (1, 1, 'c', 'Be brief.', 0, 1)")
        connection.exec_driver_sql(
            "INSERT INTO turns (key, conversation, number, role, text) VALUES (1, 1, 0, 'user', 'Hi.')"
        )
    engine.dispose()
    with Store(tmp_path) as store:
        (entry,) = store.conversations.list("kim")
        assert (entry.id, entry.turns, entry.system, entry.off_record) == ("c", 1, "Be brief.", False)
        assert [turn.text for turn in store.conversations.turns("kim", "c")] == ["Hi."]
