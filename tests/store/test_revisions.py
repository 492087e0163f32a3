"""Revisions of a user's records, sizes in tokens, and the turns that records came of; stores of the schema before."""

import json
import sqlite3
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from penchant.errors import UnknownUserError
from penchant.history.dialogue import Turn
from penchant.history.records import Record
from penchant.store import Store
from penchant.store import engine as database

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(open_store, tmp_path):
    with open_store(tmp_path / "store") as opened:
        yield opened


def said(number, conversation="c", **meta):
    return Record(f"what turn {number} of {conversation} said", id=f"{conversation}-{number}",
                  meta={"conversation": conversation, "turn": number, **meta})  # fmt: skip


def talk(store, user, conversation="c", turns=4):
    store.conversations.open(user, conversation, when=START)
    for number in range(turns):
        store.conversations.add(user, conversation, Turn(number, "user", f"what turn {number} said", START))


def test_every_change_of_the_records_and_nothing_else_gives_another_revision(store, open_store, tmp_path):
    store.add("bob", [Record("his", id="b")])
    store.add("ann", [Record("one", id="1"), said(0), said(2)])
    other = open_store(tmp_path / "store")  # as another process would open it
    seen, bob = {store.revision("ann")}, store.revision("bob")

    def changed():
        assert store.revision("ann") == other.revision("ann")
        known = store.revision("ann") in seen
        seen.add(store.revision("ann"))
        return not known

    with other:
        assert not changed()
        assert other.add("ann", [Record("one", id="1")]).unchanged == 1
        talk(store, "ann")
        store.keep_token_count("ann", store.revision("ann"), "t", 3)
        assert not changed()
        other.add("ann", [Record("two", id="2")])
        assert changed()
        other.add("ann", [Record("two, put otherwise", id="2")], replace=True)
        assert changed()
        other.forget_record("ann", "2")
        assert changed()
        other.conversations.forget_turns("ann", "c", [1])  # of which no record came
        assert not changed()
        assert other.conversations.forget_turns("ann", "c", [2]) == ("c-2",)
        assert changed()
        assert other.conversations.forget("ann", "c") == ("c-0",)
        assert changed()
        other.forget("ann")
        with pytest.raises(UnknownUserError):
            store.revision("ann")
        other.add("ann", [Record("somebody of the same name", id="1")])
        assert changed()  # or what was kept of the first would pass for hers
    assert store.revision("bob") == bob


def test_a_size_in_tokens_is_known_until_the_records_change(store):
    store.add("ann", [Record("one", id="1"), Record("two", id="2")])
    now = store.revision("ann")
    assert store.token_count("ann", now, "t") is None
    store.keep_token_count("ann", now, "t", 5)
    store.keep_token_count("ann", now, "other", 7)
    store.keep_token_count("ann", now, "t", 6)
    assert (store.token_count("ann", now, "t"), store.token_count("ann", now, "other")) == (6, 7)
    assert store.token_count("bob", now, "t") is None and store.token_count("ann", now + 1, "t") is None
    store.forget_record("ann", "1")
    store.keep_token_count("ann", now, "t", 6)  # whoever counted what isn't there any more is too late
    assert store.token_count("ann", store.revision("ann"), "t") is None
    assert store.token_count("ann", store.revision("ann"), "other") is None
    store.keep_token_count("ann", store.revision("ann"), "t", 2)
    store.forget("ann")
    store.keep_token_count("ann", now, "t", 6)
    with database.reading(store._engine) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM token_counts").scalar() == 0


def test_records_of_a_turn_are_found_through_an_index(store):
    store.add("ann", [said(number) for number in range(3)] + [said(1, "d"), Record("none", id="n")])
    talk(store, "ann")
    asked = []

    def watch(connection, cursor, sql, values, *rest):
        asked.append((sql, values))

    sa.event.listen(store._engine, "before_cursor_execute", watch)
    assert store.conversations.forget_turns("ann", "c", [1]) == ("c-1",)
    finding = [(sql, values) for sql, values in asked if sql.startswith("SELECT records.") and "conversation" in sql]
    assert finding and not any("LIKE" in sql for sql, _ in asked)
    sqlite = store._engine.dialect.name == "sqlite"
    with database.reading(store._engine) as connection:
        if not sqlite:  # three rows are read faster without an index
            connection.exec_driver_sql("SET enable_seqscan = off")
        for sql, values in finding:
            rows = connection.exec_driver_sql(f"EXPLAIN {'QUERY PLAN ' if sqlite else ''}{sql}", values)
            assert "records_of_a_conversation" in " ".join(str(row) for row in rows)
    assert [one.id for one in store.history("ann")] == ["c-0", "c-2", "d-1", "n"]


@pytest.mark.parametrize(
    "meta",
    [
        {"conversation": 3, "turn": 1},
        {"conversation": "c", "turn": "1"},
        {"conversation": "c", "turn": True},
        {"conversation": "c", "turn": 1.0},
        {"conversation": "c", "turn": 1 << 70},
        {"conversation": "c\n", "turn": 1},
        {"conversation": "", "turn": 1},
        {"conversation": ["c"], "turn": 1},
        {"said": {"conversation": "c", "turn": 1}},
    ],
    ids=json.dumps,
)
def test_what_only_looks_like_a_turn(store, meta):
    store.add("ann", [Record("text", id="1", meta=meta)])
    talk(store, "ann")
    assert store.conversations.forget_turns("ann", "c", [1]) == ()
    assert store.history("ann")[0].meta == meta


def test_a_store_of_the_schema_before_keeps_all_and_knows_its_turns(tmp_path):
    engine = database.open_engine(sa.URL.create("sqlite", database=str(tmp_path / "penchant.db")))
    config = Config()
    config.set_main_option("script_location", str(database.Path(database.__file__).parent / "migrations"))
    with database.writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
    engine.dispose()
    odd = [{"conversation": 3}, {"conversation": "c", "turn": True}, {"conversation": "c\n", "turn": 1}, {"turn": 1}]
    records = [said(1), said(2), said(1, "other", lang="de"), said(1, 'quo"ted ü')]
    records += [Record("plain", id="p")] + [Record("odd", id=f"o{i}", meta=meta) for i, meta in enumerate(odd)]
    with sqlite3.connect(tmp_path / "penchant.db") as raw:
        raw.execute("INSERT INTO users VALUES (4, 'kim')")
        raw.execute("INSERT INTO conversations VALUES (2, 4, 'c', NULL, 0, 3), (3, 4, 'quo\"ted ü', NULL, 0, 3)")
        for key in (2, 3):
            for number in range(3):
                raw.execute("INSERT INTO turns VALUES (NULL, ?, ?, 'user', 'x', NULL, 0)", (key, number))
        for one in records:
            meta = json.dumps(dict(one.meta), ensure_ascii=False) if one.meta else None
            row = (4, one.id, one.content_hash(), one.text, meta)
            raw.execute("INSERT INTO records (user, id, hash, text, meta) VALUES (?, ?, ?, ?, ?)", row)
    for _ in range(2):
        with Store(tmp_path) as store:
            assert store.history("kim").records == tuple(records)
            assert store.add("kim", records).unchanged == len(records)
            assert [entry.turns for entry in store.conversations.list("kim")] == [3, 3]
    with Store(tmp_path) as store:
        before = store.revision("kim")
        assert store.conversations.forget_turns("kim", "c", [1]) == ("c-1",)
        assert store.conversations.forget_turns("kim", 'quo"ted ü', [1]) == ('quo"ted ü-1',)
        assert store.revision("kim") != before
        assert store.conversations.forget("kim", "c") == ("c-2", "o1")
        assert store.forget("kim").records == len(records) - 4
