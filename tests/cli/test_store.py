"""`penchant store`: what is done to a store as a whole, after a question."""

import base64
from pathlib import Path

import pytest

from penchant import Store
from tests.commands import Home, Invoke

TEXT = "The lighthouse keeper is called Ottoline Grimshaw."


@pytest.fixture
def keys(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a record, a master key, and a folder for users' keys."""
    with Store(home.store) as store:
        store.add("ann", [TEXT])
    monkeypatch.setenv("PENCHANT_MASTER_KEY", base64.b64encode(b"k" * 32).decode())
    monkeypatch.setenv("PENCHANT_KEY_STORE", str(tmp_path / "keys"))
    return tmp_path / "keys"


def holds(folder: Path) -> bool:
    return any(b"Grimshaw" in file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_encrypting_asks_first(penchant: Invoke, home: Home, keys: Path) -> None:
    for answer in ("n\n", ""):
        ran = penchant("store", "encrypt", stdin=answer)
        assert ran.code == 2 and "nothing was encrypted" in ran.err and f"users' keys in {keys}" in ran.err
    assert holds(home.store)
    ran = penchant("store", "encrypt", stdin="y\n")
    assert ran.code == 0 and "1 users" in ran.out
    assert not holds(home.store)
    assert TEXT in penchant("users", "export", "ann").out
    assert "is encrypted already" in penchant("store", "encrypt", "--yes").reason(2)


def test_without_a_master_key_nothing_changes(
    penchant: Invoke, home: Home, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PENCHANT_MASTER_KEY")
    assert "PENCHANT_MASTER_KEY" in penchant("store", "encrypt", "--yes").reason()
    assert holds(home.store)


def test_compacting_keeps_what_is_there(penchant: Invoke, home: Home, keys: Path) -> None:
    assert penchant("store", "compact", "--json").document == {"store": str(home.store)}
    assert TEXT in penchant("users", "export", "ann").out
    assert "penchant" in penchant("store", "compact", "--store", home.store / "none").reason()
