"""The store: adding, reading, paging, schema, and what happens when it can't go on."""

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import penchant.history
from penchant.errors import InputError, StoreError, UnknownUserError
from penchant.history.jsonl import read_records
from penchant.history.records import Record
from penchant.store import Counts, Store, UserEntry, default_store
from penchant.store import engine as database
from penchant.store.schema import SCHEMA, metadata

START = datetime(2024, 1, 1, tzinfo=UTC)


def some(count, prefix="r"):
    return [Record(f"{prefix} text {i}", id=f"{prefix}{i}", when=START + timedelta(hours=i)) for i in range(count)]


@pytest.fixture
def store(open_store, tmp_path):
    with open_store(tmp_path / "store") as opened:
        yield opened


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(records=st.lists(st.from_type(Record), min_size=1, max_size=5, unique_by=lambda record: record.id))
def test_history_and_export_give_back_what_was_added(open_store, tmp_path_factory, records):
    folder = tmp_path_factory.mktemp("store")
    with open_store(folder) as store:
        assert store.add("u", records) == Counts(added=len(records))
        assert sorted(store.history("u").records, key=lambda r: r.id) == sorted(records, key=lambda r: r.id)
        exported = folder / "export.jsonl"
        exported.write_text("".join(line + "\n" for line in store.export("u")), encoding="utf-8", newline="\n")
        assert list(read_records(exported)) == records
        assert store.add("u", read_records(exported)) == Counts(unchanged=len(records))
        store.add("copy", read_records(exported))
        assert store.history("copy").records == store.history("u").records


def test_records_without_a_time_keep_their_order(store):
    records = [Record(f"text {i}", id=str(99 - i)) for i in range(50)]
    store.add("u", records[:25])
    store.add("u", records[25:])
    assert store.history("u").records == tuple(records)


def test_pages_have_the_order_of_the_history(store):
    days = [None, 3, None, 1, None, None, 2, 3, None]
    made = [
        Record(f"text {number}", id=f"{number}", when=None if day is None else datetime(2026, 1, day, tzinfo=UTC))
        for number, day in enumerate(days)
    ]
    store.add("other", made)
    store.add("ann", made)
    whole = list(store.history("ann"))
    assert [record for at in range(0, 9, 2) for record in store.page("ann", 2, at)] == whole
    assert store.page("ann", 5, 9) == []
    with pytest.raises(UnknownUserError):
        store.page("nobody", 1)


def test_the_same_id_with_other_content(store):
    store.add("u", some(3))
    changed = Record("other text", id="r1")
    with pytest.raises(InputError, match="record 'r1' of user 'u' is already stored with other content"):
        store.add("u", [changed])
    with pytest.raises(InputError, match="record 'x' of user 'u'"):
        store.add("u", [Record("a", id="x"), Record("b", id="x")])
    assert store.history("u").records == tuple(some(3))
    assert store.add("u", [*some(1), changed, Record("new", id="n")], replace=True) == Counts(1, 1, 1)
    assert {r.id: r.text for r in store.history("u")} == {
        "r0": "r text 0",
        "r1": "other text",
        "r2": "r text 2",
        "n": "new",
    }
    assert store.add("other", [changed]) == Counts(added=1)


def test_twice_in_one_batch_when_replacing(store):
    assert store.add("u", [Record("a", id="x"), Record("b", id="x"), Record("b", id="x")], replace=True) == Counts(
        1, 1, 1
    )
    assert [r.text for r in store.history("u")] == ["b"]


def test_an_error_undoes_its_own_batch_only(store):
    seen = []
    pairs = [("u", record) for record in [*some(10), Record("x", id="r3"), *some(3, "late")]]
    with pytest.raises(InputError, match=r"\(8 records were added before\)"):
        store.add_many(pairs, batch=4, acknowledge=seen.append)
    assert seen == [Counts(4), Counts(8)]
    assert store.count("u") == 8


def test_users_are_paged(store):
    store.add_many((f"u{i:03}", record) for i in range(25) for record in some(i % 3 + 1))
    first = list(store.users(limit=10))
    assert first[:3] == [UserEntry("u000", 1), UserEntry("u001", 2), UserEntry("u002", 3)]
    second = list(store.users(limit=10, after=first[-1].user))
    assert [entry.user for entry in second] == [f"u{i:03}" for i in range(10, 20)]
    assert [entry.user for entry in store.all_users(page=4)] == [f"u{i:03}" for i in range(25)]
    assert (store.count(), store.count("u002")) == (25, 3)
    with pytest.raises(InputError, match="a page of 0 users"):
        store.users(limit=0)


def test_unknown_users_and_unusable_ids(store):
    for use in (store.history, store.export, store.count, store.forget):
        with pytest.raises(UnknownUserError, match="no user 'nobody' in the store"):
            use("nobody")
    assert store.add("nobody", []) == Counts()
    assert store.count() == 0
    for user in ("", "a\x00b", "half \ud800", "x" * 1001):
        with pytest.raises(InputError, match="expected 1 to 1000 printable characters"):
            store.add(user, some(1))
    with pytest.raises(InputError, match="a batch of 0 records"):
        store.add("u", some(1), batch=0)


def test_what_cant_be_stored_is_named(store):
    for record in (
        Record("half \ud800", id="r"),
        Record("a", id="r", label=float("nan")),
        Record("a", id="r", meta={"k": {1}}),
    ):
        with pytest.raises(InputError, match="record 'r' can't be stored"):
            store.add("u", [record])
    assert store.count() == 0


def test_folders_of_a_user(store):
    folder = store.index_dir("../../etc")
    assert folder.parent == store.directory / "indexes"
    assert len(folder.name) == 64
    assert folder != store.index_dir("other")


def test_schema_is_the_newest_migration_and_equals_the_tables(store):
    scripts = ScriptDirectory(str(database.Path(database.__file__).parent / "migrations"))
    assert scripts.get_heads() == [SCHEMA]
    with database.reading(store._engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_new_store_has_the_schema_of_one_that_was_migrated(store, places, tmp_path):
    def described(engine):
        inspector = sa.inspect(engine)
        return {
            name: (
                [
                    (one["name"], str(one["type"]), one["nullable"], one["default"])
                    for one in inspector.get_columns(name)
                ],
                inspector.get_pk_constraint(name),
                sorted(map(str, inspector.get_foreign_keys(name))),
                sorted(map(str, inspector.get_unique_constraints(name))),
                sorted(map(str, inspector.get_indexes(name))),
            )
            for name in inspector.get_table_names()
        }

    migrated = places.engine(tmp_path / "migrated")
    config = Config()
    config.set_main_option("script_location", str(database.Path(database.__file__).parent / "migrations"))
    with database.writing(migrated) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        version = connection.exec_driver_sql("SELECT * FROM alembic_version").all()
    with database.reading(store._engine) as connection:
        assert connection.exec_driver_sql("SELECT * FROM alembic_version").all() == version
    assert described(store._engine) == described(migrated)
    migrated.dispose()


def test_a_newer_store_is_refused_and_left_alone(open_store, tmp_path):
    with open_store(tmp_path) as store:
        store.add("u", some(1))
        with database.writing(store._engine) as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(StoreError, match="schema '9999', which is newer than this Penchant knows"):
            open_store(tmp_path)
        assert store.count("u") == 1


def test_paths_that_cant_be_a_store(tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(InputError, match=r"can't be opened \(File exists\): expected a folder"):
        Store(file)
    with pytest.raises(InputError, match="is an SQLite URL: expected the folder"):
        Store("sqlite:///x.db")
    with pytest.raises(InputError, match="expected a folder or a database URL"):
        Store("nonsense://x", directory=tmp_path)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "penchant.db").write_bytes(b"no database at all, only words " * 200)
    with pytest.raises(StoreError, match=r"file is not a database.*restore a backup"):
        Store(tmp_path / "bad")


def test_settings_of_every_connection(tmp_path):
    store = Store(tmp_path)
    names = ("journal_mode", "secure_delete", "foreign_keys", "synchronous")
    with database.reading(store._engine) as connection:
        values = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names}
    assert values == {"journal_mode": "wal", "secure_delete": 1, "foreign_keys": 1, "synchronous": 2}


def test_a_lock_held_too_long_is_named(tmp_path, monkeypatch):
    with Store(tmp_path):
        pass
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    with Store(tmp_path) as store, sqlite3.connect(tmp_path / "penchant.db", isolation_level=None) as raw:
        raw.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"database is locked.*another process held it"):
            store.add("u", some(1))
        raw.execute("ROLLBACK")
        assert store.add("u", some(1)) == Counts(added=1)


def test_where_a_store_lives_by_default(monkeypatch):
    monkeypatch.setenv("PENCHANT_STORE", "somewhere")
    assert default_store() == "somewhere"
    monkeypatch.delenv("PENCHANT_STORE")
    assert default_store().endswith("penchant")


def test_public_names_exist():
    assert all(hasattr(penchant.history, name) for name in penchant.history.__all__)
