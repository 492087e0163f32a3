"""Encrypted stores: no text of a user in any byte, and none readable once the user's key is destroyed."""

import shutil
import sqlite3
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from penchant.errors import InputError, StoreError
from penchant.history.dialogue import Instruction, Turn
from penchant.history.records import Record
from penchant.store import Counts, Store
from penchant.store import engine as database
from penchant.store.erasure import cleaning
from tests.store.erasure.contents import contents

START = datetime(2025, 1, 1, tzinfo=UTC)
KEY, OTHER = "ab" * 32, "cd" * 32
CANARIES = {
    name: f"canary-{name} zanzibar heron {number}"
    for number, name in enumerate(("id", "text", "reply", "label", "kind", "meta", "system", "turn", "rule", "until"))
}
CANARIES["slot"] = "canary-slot"


def fill(store, user="ann"):
    meta = {"conversation": "c", "turn": 0, "note": CANARIES["meta"]}
    texts = {name: CANARIES[name] for name in ("reply", "label", "kind")}
    store.add(user, [Record(CANARIES["text"], id=CANARIES["id"], meta=meta, **texts), Record(CANARIES["text"])])
    store.conversations.open(user, "c", system=CANARIES["system"], when=START)
    store.conversations.add(user, "c", Turn(0, "user", CANARIES["turn"], START))
    rule = Instruction("i", CANARIES["rule"], "c", 0, "until", CANARIES["until"], slot=CANARIES["slot"])
    store.conversations.put(user, rule)


def shown(store, user="ann"):
    talks = store.conversations
    return list(store.export(user)), list(talks.export(user)), talks.list(user), talks.search(user, "zanzibar")


def holds_any(data):
    automatic = Record(CANARIES["text"])
    wanted = [*CANARIES.values(), automatic.id, automatic.content_hash()]
    return [one for one in wanted if one.encode() in data]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def place(request, tmp_path):
    """What `Store` takes: the folder, and before it the URL of a database; keys in the folder beside."""
    if request.param == "sqlite":
        yield {"path_or_url": tmp_path / "store", "master_key": KEY, "key_store": str(tmp_path / "keys")}
        return
    server = request.getfixturevalue("postgres")
    data, keys = server.create(), server.create()
    yield {"path_or_url": data, "directory": tmp_path / "store", "master_key": KEY, "key_store": keys}
    server.drop(data)
    server.drop(keys)


@pytest.fixture
def store(place):
    with Store(**place) as opened:
        opened.encrypt()
        yield opened


def test_no_text_of_a_user_is_in_the_database(store):
    fill(store)
    while_open = b"".join(data for _, data in contents(store))  # with SQLite's write-ahead log
    assert b"ann" in while_open
    assert holds_any(while_open) == []
    with database.reading(store._engine) as connection:
        values = [str(tuple(row)) for name in ("records", "conversations", "turns", "instructions")
                  for row in connection.exec_driver_sql(f"SELECT * FROM {name}")]  # fmt: skip
    assert len(values) == 5
    assert holds_any("".join(values).encode()) == []


def test_what_is_read_is_what_was_stored(store, place, tmp_path):
    fill(store)
    with Store(tmp_path / "plain") as plain:
        fill(plain)
        assert shown(store) == shown(plain)
        assert store.holds("ann", CANARIES["id"])
        assert not store.holds("ann", "other")
    with Store(**place) as again:
        assert again.encrypted
        assert shown(again) == shown(store)
        assert again.add("ann", again.history("ann").records) == Counts(unchanged=2)
        with pytest.raises(InputError, match=r"record 'canary-id .* is already stored with other content"):
            again.add("ann", [Record("other", id=CANARIES["id"])])
        assert again.add("ann", [Record("other", id=CANARIES["id"])], replace=True) == Counts(replaced=1)
        assert again.conversations.forget_turns("ann", "c", [0]) == ()
        assert [one.text for one in store.history("ann")] == ["other", CANARIES["text"]]


def test_a_plain_store_is_encrypted_and_keeps_everything(place):
    with Store(**place) as store:
        fill(store)
        fill(store, "bob")
        before = shown(store), shown(store, "bob")
        assert holds_any(b"".join(data for _, data in contents(store)))
        store.encrypt()
        assert (shown(store), shown(store, "bob")) == before
        assert holds_any(b"".join(data for _, data in contents(store))) == []
        with pytest.raises(InputError, match="is encrypted already: nothing was changed"):
            store.encrypt()
        fill(store, "cem")
        assert shown(store, "cem") == shown(store, "ann")
    with Store(**place) as store:
        assert (shown(store), shown(store, "bob")) == before


def test_another_process_that_had_it_open_plain_writes_no_plain_text(place):
    with Store(**place) as stale, Store(**place) as store:
        fill(stale)
        store.encrypt()
        for use in (
            lambda: stale.add("ann", [Record("x")]),
            lambda: stale.add("new", [Record("x")]),
            lambda: stale.history("ann"),
            lambda: stale.conversations.add("ann", "c", Turn(1, "user", "x")),
        ):
            with pytest.raises(StoreError, match="was encrypted by another process: open it again"):
                use()
        assert store.count() == 1


def test_after_erasure_an_old_copy_and_the_present_keys_cant_be_read(tmp_path):
    place = {"path_or_url": tmp_path / "store", "master_key": KEY, "key_store": str(tmp_path / "keys")}
    with Store(**place) as store:
        store.encrypt()
        fill(store)
        fill(store, "bob")
        cleaning.truncate_log(store._engine)
        shutil.copytree(tmp_path / "store", tmp_path / "backup")
        receipt = store.forget("ann")
    assert (receipt.key_destroyed, receipt.remains, receipt.shared) == (True, (), 0)
    with Store(tmp_path / "backup", master_key=KEY, key_store=place["key_store"]) as backup:
        assert shown(backup, "bob")[0]
        assert [entry.user for entry in backup.users()] == ["ann", "bob"]
        for use in (backup.history, backup.conversations.list, lambda user: backup.conversations.turns(user, "c")):
            with pytest.raises(StoreError, match=r"the key of a user isn't in the key store .*can't be read any more"):
                list(use("ann"))
        assert backup.forget("bob").key_destroyed


def test_every_way_in_which_a_user_goes_destroys_the_key_and_no_other_does(store):
    def keys():
        engine = cleaning.vault_of(store._engine).engine
        with database.reading(engine) as connection:
            return connection.exec_driver_sql("SELECT count(*) FROM penchant_data_keys").scalar()

    for user in ("ann", "bob", "cem"):
        store.add(user, [Record("a", id="a"), Record("b", id="b")])
    store.conversations.open("dee", "c", when=START)
    store.conversations.open("dee", "d", when=START)
    assert keys() == 1 + 4  # one by which a wrong master key is noticed
    store.forget("ann")
    assert keys() == 4
    store.forget_record("bob", "a")
    assert keys() == 4
    store.forget_record("bob", "b")
    assert keys() == 3
    store.conversations.forget("dee", "c")
    assert keys() == 3
    store.conversations.forget("dee", "d")
    assert keys() == 2
    assert [record.text for record in store.history("cem")] == ["a", "b"]


def test_a_key_is_destroyed_on_the_next_opening_if_the_erasure_was_cut_off(store, place, monkeypatch):
    fill(store)
    monkeypatch.setattr(cleaning, "destroy_keys", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        store.forget("ann")
    monkeypatch.undo()
    with Store(**place) as again, database.reading(cleaning.vault_of(again._engine).engine) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM penchant_data_keys").scalar() == 1


def test_an_erasure_cut_off_before_its_commit_keeps_the_key(store, place, monkeypatch):
    fill(store)
    monkeypatch.setattr("penchant.store.erasure.users.lock_user", lambda *given: (_ for _ in ()).throw(OSError()))
    with pytest.raises(StoreError):
        store.forget("ann")
    monkeypatch.undo()
    with Store(**place) as again:
        assert shown(again) == shown(store)


def test_without_the_master_key_or_the_key_store_it_says_so(store, place, tmp_path, monkeypatch):
    for name in ("PENCHANT_MASTER_KEY", "PENCHANT_MASTER_KEY_FILE", "PENCHANT_KEY_STORE"):
        monkeypatch.delenv(name, raising=False)
    wrong = {
        "there is no master key": {"master_key": None},
        "isn't 32 bytes in base64": {"master_key": "short"},
        "made with another master key": {"master_key": OTHER},
        "isn't in the key store": {"key_store": str(tmp_path / "elsewhere")},
        "inside the store's folder": {"key_store": str(tmp_path / "store" / "keys")},
    }
    for why, given in wrong.items():
        with pytest.raises((InputError, StoreError), match=why) as caught:
            Store(**{**place, **given})
        assert "\n" not in str(caught.value)
        assert KEY not in str(caught.value)
    key_file = tmp_path / "master"
    key_file.write_text("q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\n")  # the same key in base64
    monkeypatch.setenv("PENCHANT_MASTER_KEY_FILE", str(key_file))
    with Store(**{**place, "master_key": None}) as opened:
        assert opened.encrypted


def test_a_row_moved_or_changed_is_noticed(store):
    for user in ("ann", "bob"):
        store.add(user, [Record(f"{user} one", id="1"), Record(f"{user} two", id="2")])
    sealed = {}
    with database.reading(store._engine) as connection:
        for key, value in connection.exec_driver_sql("SELECT key, sealed FROM records ORDER BY key"):
            sealed[key] = bytes(value)
    first, second, foreign, _ = sealed
    for data in (sealed[second], sealed[foreign], sealed[first][:-1] + bytes([sealed[first][-1] ^ 1]), b""):
        with database.writing(store._engine) as connection:
            connection.execute(
                sa.text("UPDATE records SET sealed = :data WHERE key = :key"), {"data": data, "key": first}
            )
        with pytest.raises(StoreError, match="a row of records can't be decrypted"):
            store.history("ann")
    with database.writing(store._engine) as connection:
        connection.execute(
            sa.text("UPDATE records SET sealed = NULL, text = 'forged' WHERE key = :key"), {"key": first}
        )
    with pytest.raises(StoreError, match="a row of records isn't encrypted"):
        store.history("ann")
    assert len(store.history("bob")) == 2


def test_equal_texts_of_two_users_dont_look_equal(store):
    for user in ("ann", "bob"):
        store.add(user, [Record("the same text")])
    with database.reading(store._engine) as connection:
        rows = connection.exec_driver_sql("SELECT id, hash, sealed FROM records").all()
    assert (
        len({value for row in rows for value in map(bytes, map(memoryview, [str(one).encode() for one in row]))}) == 6
    )


def test_the_key_stores_file_keeps_no_destroyed_key(tmp_path):
    with Store(tmp_path / "store", master_key=KEY, key_store=str(tmp_path / "keys")) as store:
        store.encrypt()
        store.add_many((f"u{n}", Record("x")) for n in range(200))
        with sqlite3.connect(tmp_path / "keys" / "keys.db") as raw:
            wrapped = [row[0] for row in raw.execute("SELECT wrapped FROM penchant_data_keys")]
        raw.close()
        for n in range(3):
            store.forget(f"u{n}")
        files = b"".join(file.read_bytes() for file in (tmp_path / "keys").iterdir())
        assert sum(one in files for one in wrapped) == 198
    assert (tmp_path / "keys").stat().st_mode & 0o077 == 0


def test_encrypting_that_was_cut_off_before_the_plain_texts_went_is_finished_on_opening(place, monkeypatch):
    with Store(**place) as store:
        fill(store)
        monkeypatch.setattr(Store, "compact", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store.encrypt()
        assert list(store.directory.glob("erasing-*"))
    rewritten = []
    rewrite = cleaning.rewrite
    monkeypatch.setattr(cleaning, "rewrite", lambda *given: rewritten.append(rewrite(*given)))
    with Store(**place) as store:
        assert rewritten == [None]
        assert holds_any(b"".join(data for _, data in contents(store))) == []
        assert len(store.history("ann")) == 2
