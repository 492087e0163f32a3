"""An erasure of turns that is cut off is finished when the store is opened again, or has erased nothing."""

import shutil
import sqlite3

import pytest

from penchant.errors import StoreError
from penchant.store.erasure import cleaning
from penchant.store.erasure import users as erasure
from penchant.store.erasure.lineage import append_lines, derived_line, source_of
from tests.store.erasure.contents import holding
from tests.store.erasure.turn_cases import START, filled, kept, turn


@pytest.fixture
def store(open_store, tmp_path):
    with filled(open_store(tmp_path / "store")) as opened:
        yield opened


def test_an_erasure_cut_off_after_its_commit_is_finished_on_opening(store, open_store, monkeypatch):
    cache = store.conversation_dir("bob", "a")
    monkeypatch.setattr(cleaning, "compact", lambda engine: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        store.conversations.forget_turns("bob", "a", [4, 5])
    monkeypatch.undo()
    rows = store.user_dir("contrasts", "ann") / "contrasts.jsonl"
    append_lines(rows, [derived_line({"n": n}, [source_of("bob", n)]) for n in ("a-4", "a-2")])
    for folder in (cache, store.conversation_dir("bob", "b")):
        folder.mkdir(parents=True)
    with open_store(store.directory) as again:
        assert holding(store, turn("bob", "a", 5).text) == []
        assert (cache.exists(), store.conversation_dir("bob", "b").exists()) == (False, True)
        assert rows.read_text().count("\n") == 1
        assert len(again.conversations.turns("bob", "a")) == 10
    assert not list(store.directory.glob("erasing-*"))


def test_an_erasure_that_took_the_user_is_finished_on_opening(store, open_store, monkeypatch):
    store.conversations.open("kim", "c", when=START)
    store.conversations.open("../eve", "c", when=START)
    areas = [store.user_dir(area, "kim") for area in ("memories", "episodes")]
    monkeypatch.setattr(erasure, "remove_folder", lambda folder: (_ for _ in ()).throw(KeyboardInterrupt))
    for folder in areas:
        folder.mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt):
        store.conversations.forget("kim", "c")
    monkeypatch.undo()
    with open_store(store.directory) as again:
        assert [folder.exists() for folder in areas] == [False, False]
        assert [entry.user for entry in again.users()] == ["../eve", "ann", "bob"]


def test_an_erasure_cut_off_before_its_commit_erases_nothing(store, open_store, monkeypatch):
    before = kept(store, "bob")
    monkeypatch.setattr(erasure, "write_marker", lambda *given: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(StoreError, match="No space left"):
        store.conversations.forget_turns("bob", "a", [4, 5])
    assert kept(store, "bob") == before


def test_a_folder_that_cant_go_is_named_and_goes_on_opening(store, open_store, monkeypatch):
    store.conversation_dir("bob", "a").mkdir(parents=True)

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(StoreError, match=r"files of 'bob' can't be removed .*Permission denied"):
        store.conversations.forget("bob", "a")
    monkeypatch.undo()
    with open_store(store.directory):
        assert not store.conversation_dir("bob", "a").exists()
    if store._engine.dialect.name == "sqlite":
        with sqlite3.connect(store.directory / "penchant.db") as raw:
            assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert holding(store, turn("bob", "a", 5).text) == []
