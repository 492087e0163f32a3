"""The cache of prepared models: whole or not at all."""

import os
import threading
import time
from pathlib import Path

import pytest

from penchant.models import cache
from penchant.models.cache import MANIFEST, discard, is_complete, models_directory, publish


def fill(text: str = "weights"):  # type: ignore[no-untyped-def]
    def write(directory: Path) -> None:
        (directory / "a.bin").write_text(text)
        (directory / "b.json").write_text("{}")

    return write


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PENCHANT_CACHE", str(tmp_path))
    assert models_directory() == tmp_path / "models"


def test_published_whole(tmp_path: Path) -> None:
    entry = tmp_path / "models" / "m-1"
    publish(entry, fill())
    assert is_complete(entry) is None
    assert sorted(path.name for path in entry.iterdir()) == ["a.bin", "b.json", MANIFEST]
    assert [path.name for path in entry.parent.iterdir()] == ["m-1"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError("disk full")])
def test_an_interrupted_write_leaves_nothing(tmp_path: Path, stop: BaseException) -> None:
    def write(directory: Path) -> None:
        fill()(directory)
        raise stop

    with pytest.raises((KeyboardInterrupt, OSError)):
        publish(tmp_path / "m-1", write)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda entry: (entry / "a.bin").write_text("weightz"), "a.bin has changed"),
        (lambda entry: (entry / "a.bin").write_text("w"), "a.bin has changed"),
        (lambda entry: (entry / "b.json").unlink(), "b.json can't be read"),
        (lambda entry: (entry / MANIFEST).unlink(), f"{MANIFEST} can't be read"),
        (lambda entry: (entry / MANIFEST).write_text("{"), f"{MANIFEST} is not readable"),
        (lambda entry: (entry / MANIFEST).write_text("[]"), f"{MANIFEST} is not readable"),
    ],
)
def test_damage_is_seen_and_named(tmp_path: Path, damage, fault: str) -> None:  # type: ignore[no-untyped-def]
    entry = tmp_path / "m-1"
    publish(entry, fill())
    damage(entry)
    assert is_complete(entry) == fault
    discard(entry)
    assert list(tmp_path.iterdir()) == []
    publish(entry, fill())
    assert is_complete(entry) is None


def test_big_files_are_checked_by_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cache, "HASHED_BYTES", 3)
    publish(tmp_path / "m", fill())
    (tmp_path / "m" / "a.bin").write_text("weightz")
    assert is_complete(tmp_path / "m") is None
    (tmp_path / "m" / "a.bin").write_text("weight")
    assert is_complete(tmp_path / "m") == "a.bin has changed"


def test_two_at_once_give_one_entry(tmp_path: Path) -> None:
    entry = tmp_path / "m-1"
    together = threading.Barrier(2)
    errors: list[BaseException] = []

    def write(directory: Path) -> None:
        fill()(directory)
        together.wait(timeout=30)

    def work() -> None:
        try:
            publish(entry, write)
        except BaseException as error:  # noqa: BLE001  a thread's failure must fail the test
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert is_complete(entry) is None
    assert [path.name for path in tmp_path.iterdir()] == ["m-1"]


def test_what_a_killed_process_left_is_swept_after_a_day(tmp_path: Path) -> None:
    old, young = tmp_path / ".m-1-abc", tmp_path / ".m-1-def"
    for path in (old, young):
        fill()(path) if path.mkdir() is None else None
    past = time.time() - 2 * 24 * 3600
    os.utime(old, (past, past))
    publish(tmp_path / "m-2", fill())
    assert sorted(path.name for path in tmp_path.iterdir()) == [".m-1-def", "m-2"]


def test_discarding_what_is_gone_or_a_file(tmp_path: Path) -> None:
    discard(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    discard(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []
