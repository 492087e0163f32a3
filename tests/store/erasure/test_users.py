"""Forgetting: nothing of the user is left in any file, nothing of anybody else is touched."""

import json
import random
import shutil
import sqlite3

import pytest

from penchant.errors import InputError, StoreError, UnknownUserError
from penchant.history.records import Record
from penchant.store import Counts, Store
from penchant.store import engine as database
from penchant.store.erasure import cleaning
from penchant.store.erasure.residue import Needles, grams
from tests.postgres import on_plain_text
from tests.store.erasure.contents import holding

VOCABULARY = [f"{a}{b}" for a in ("mar", "tok", "süß", "quen", "lid") for b in ("o", "ith", "ava", "éne", "u", "orn")]


def words(seed, count):
    return " ".join(random.Random(seed).choices(VOCABULARY, k=count))


def records(user, count=60):
    def one(i):
        long = 2_000 if i == 7 else 25
        meta = {"note": words(f"{user} note {i}", 12), "n": i}
        return Record(words(f"{user} {i}", long), id=f"{user}-{i}", reply=words(f"{user} reply {i}", 9), meta=meta)

    return [one(i) for i in range(count)]


@pytest.fixture
def store(open_store, tmp_path):
    with open_store(tmp_path / "store") as opened:
        opened.add_many((user, record) for user in ("ann", "bob", "cem") for record in records(user))
        yield opened


@on_plain_text
def test_forget_leaves_nothing_and_touches_nobody_else(store):
    mine = store.history("bob")
    others = {user: list(store.export(user)) for user in ("ann", "cem")}
    cache = store.index_dir("bob")
    cache.mkdir(parents=True)
    (cache / "keys.safetensors").write_bytes(mine[0].text.encode() * 3)
    (store.user_dir("memories", "bob") / "deep").mkdir(parents=True)
    (store.user_dir("memories", "bob") / "deep" / "notes.json").write_text(mine[1].text)
    store.index_dir("ann").mkdir(parents=True)
    (store.index_dir("ann") / "keys.safetensors").write_bytes(b"kept")
    assert holding(store, mine[3].text)

    receipt = store.forget("bob")

    assert (receipt.user, receipt.records, receipt.files) == ("bob", 60, 2)
    text_bytes = sum(len(part.encode()) for r in mine for part in (r.text, r.reply, r.meta["note"]))
    assert receipt.bytes == text_bytes + 3 * len(mine[0].text.encode()) + len(mine[1].text.encode())
    assert receipt.searched > 60 * 20
    assert receipt.shared == 0
    for record in mine:
        for part in (record.text, record.reply, record.meta["note"]):
            assert holding(store, part) == []
    assert not cache.exists()
    assert not store.user_dir("memories", "bob").exists()
    assert (store.index_dir("ann") / "keys.safetensors").read_bytes() == b"kept"
    assert {user: list(store.export(user)) for user in ("ann", "cem")} == others
    with pytest.raises(UnknownUserError):
        store.history("bob")
    assert not list(store.directory.glob("erasing-*"))


@on_plain_text
def test_a_sentence_that_another_user_shares_stays_and_is_counted(store):
    shared = words("shared", 20)
    store.add("ann", [Record(shared, id="s1"), Record("Jon Smith", id="s2")])
    store.add(
        "bob",
        [Record(shared, id="s1"), Record("Jon Smith", id="s2"), Record("ok", id="s3"), Record("chat log", id="k")],
    )
    store.add("ann", [Record("x", id="s4", meta={"quote": {"lines": [f'{words("in meta", 9)}\n"said"']}})])
    store.add("bob", [Record(f'{words("in meta", 9)}\n"said"', id="s5")])
    receipt = store.forget("bob")
    assert receipt.shared == 13 + 1 + 3
    assert receipt.too_short == 1
    assert "s1" in {record.id for record in store.history("ann")}


@pytest.mark.parametrize("escaped", [False, True])
def test_a_copy_left_in_some_file_is_found(store, escaped):
    text = store.history("bob")[7].text
    left = store.directory / "caches" / "stray.bin"
    left.parent.mkdir()
    part = " ".join(text.split()[900:908])
    if escaped:  # every run of 8 words now has a letter that JSON escapes
        part = json.dumps(next(gram for gram in grams(text) if gram.startswith("süß")))
    left.write_bytes(b"\x00" * (4 << 20) + part.encode() + b"\xff" * 100)
    with pytest.raises(StoreError, match=r"erased texts are still found in caches/stray\.bin"):
        store.forget("bob")
    assert list(store.directory.glob("erasing-*"))
    assert store.count() == 2


def test_text_across_the_edge_of_a_read_is_found(tmp_path):
    text = words("edge", 8)
    needles = Needles([text])
    file = tmp_path / "f"
    for shift in (1, 5, len(text.encode()) - 1):
        file.write_bytes(b"." * ((4 << 20) - shift) + text.encode() + b".")
        assert needles.within_file(file, short=False) == {text.encode()}


def test_needles_agree_with_plain_search():
    rng = random.Random(5)
    texts = [words(i, rng.randint(1, 30)) for i in range(200)] + [
        "文" * 90,
        "short one",
        "a b c d e f g h",
        "tiny",
        'a "b"\nc d e f g h i',
    ]
    needles = Needles(texts)
    wanted = {gram.encode() for text in texts for gram in grams(text) if len(gram.encode()) >= 8}
    data = " ".join(rng.sample(texts, 60)).encode() + bytes(rng.randrange(256) for _ in range(5_000))
    assert needles.within(data) == {gram for gram in wanted if gram in data}
    assert needles.within(b"") == set()
    assert needles.skipped == len({g for t in texts for g in grams(t) if len(g.encode()) < 8}) > 0
    assert needles.within(b'{"text": "a \\"b\\"\\nc d e f g h i"}') >= {b'a "b"\nc d e f g h'}


def test_words_of_scripts_without_spaces():
    assert list(grams("one two")) == ["one two"]
    assert list(grams("  ")) == []
    assert len(list(grams(" ".join("abcdefghij")))) == 3
    assert [len(gram) for gram in grams("文" * 100)][:2] == [64, 64]


@pytest.mark.parametrize("places", ["sqlite"], indirect=True)
def test_a_reader_in_the_way_is_named_and_the_next_opening_finishes(store, monkeypatch):
    text = store.history("bob")[3].text
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    store.close()  # the next connection waits that long
    reader = sqlite3.connect(store.directory / "penchant.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM records").fetchone()
    with pytest.raises(StoreError, match="being read by another process"):
        store.forget("bob")
    assert holding(store, text)
    reader.execute("ROLLBACK")
    reader.close()
    with Store(store.directory) as again:
        assert holding(store, text) == []
        assert again.count() == 2
    assert not list(store.directory.glob("erasing-*"))


def test_an_erasure_cut_off_after_its_commit_is_finished_on_opening(store, open_store, monkeypatch):
    text = store.history("bob")[3].text
    monkeypatch.setattr(cleaning, "compact", lambda engine: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        store.forget("bob")
    monkeypatch.undo()
    store.index_dir("bob").mkdir(parents=True)
    with open_store(store.directory):
        assert holding(store, text) == []
        assert not store.index_dir("bob").exists()
        assert not list(store.directory.glob("erasing-*"))


@pytest.mark.parametrize("places", ["sqlite"], indirect=True)
def test_an_erasure_that_cant_be_finished_doesnt_close_the_store(store, monkeypatch, caplog):
    (store.directory / "erasing-abc").touch()
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    with sqlite3.connect(store.directory / "penchant.db", isolation_level=None) as raw:
        raw.execute("BEGIN IMMEDIATE")
        with Store(store.directory) as again:
            assert again.count("ann") == 60
    assert "could not be finished yet" in caplog.text
    assert (store.directory / "erasing-abc").exists()


def test_forgetting_a_record_equals_never_having_had_it(store, open_store, tmp_path):
    gone = store.history("bob")[7]
    store.index_dir("bob").mkdir(parents=True)
    (store.index_dir("bob") / "keys").write_bytes(b"x")
    store.forget_record("bob", gone.id)
    with open_store(tmp_path / "rebuilt") as rebuilt:
        rebuilt.add("bob", [record for record in records("bob") if record.id != gone.id])
        assert list(rebuilt.export("bob")) == list(store.export("bob"))
    assert not store.index_dir("bob").exists()
    for part in (gone.text, gone.reply, gone.meta["note"]):
        assert holding(store, part) == []
    with pytest.raises(InputError, match="user 'bob' has no record 'bob-7'"):
        store.forget_record("bob", "bob-8", gone.id)
    assert store.count("bob") == 59


def test_forgetting_record_after_record_leaves_no_bytes_and_then_no_user(store):
    mine = list(store.history("bob"))
    store.add("bob", [Record(words("new text", 30), id=mine[0].id)], replace=True)
    order = random.Random(1).sample(mine, len(mine))
    store.index_dir("bob").mkdir(parents=True)
    for start in range(0, 60, 6):
        store.forget_record("bob", *[record.id for record in order[start : start + 6]], keep_index=True)
    assert store.index_dir("bob").exists()
    assert store.count() == 2
    for record in mine:
        assert holding(store, record.text) == []
    assert store.add("bob", mine) == Counts(added=60)


def test_forget_copes_with_a_folder_that_cant_go(store, monkeypatch):
    store.index_dir("bob").mkdir(parents=True)

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(StoreError, match=r"erasing 'bob' failed .*Permission denied.*open the store again"):
        store.forget("bob")
    assert store.count("bob") == 60
