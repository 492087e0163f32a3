"""Atomic writes: whole or as before, several writers at once, leftovers of killed ones."""

import concurrent.futures
import os
import re
import time

import pytest

from penchant.errors import InputError
from penchant.files import PART, atomic_write, check_writable, write_bytes, write_text


def test_whole_or_as_it_was(tmp_path):
    path = tmp_path / "a[1].json"  # what a pattern would read otherwise
    write_text(path, "é\r\n")
    assert path.read_bytes() == "é\r\n".encode()
    with pytest.raises(ZeroDivisionError), atomic_write(path) as part:
        part.write_text("half of it")
        raise ZeroDivisionError
    with pytest.raises(FileNotFoundError), atomic_write(path):
        pass  # nothing was written
    assert path.read_bytes() == "é\r\n".encode()
    with pytest.raises(OSError, match="absent"):
        write_bytes(tmp_path / "absent" / "a", b"1")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_several_writers_of_one_path(tmp_path):
    path = tmp_path / "a"
    with atomic_write(path) as first, atomic_write(path) as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert path.read_text() == "1"  # the one that ended last
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_synced_before_it_takes_the_place(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append((tmp_path / "a").exists()))
    write_bytes(tmp_path / "a", b"1")
    assert seen == [False]


def test_what_a_killed_writer_left_goes_a_day_later(tmp_path):
    old, new, other = (
        tmp_path / f".{name}.{digit * 32}{PART}" for name, digit in (("a", "0"), ("a", "1"), ("a.b", "2"))
    )
    for file in (old, new, other):
        file.write_text("half")
    day = time.time() - 25 * 3600
    os.utime(old, (day, day))
    os.utime(other, (day, day))
    write_bytes(tmp_path / "a", b"1")
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(["a", new.name, other.name])


def test_a_link_is_followed_and_a_pipe_written_to(tmp_path):
    """`--out /dev/stdout` writes there; replacing it would take the device away from everybody."""
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    check_writable(tmp_path / "pipe")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        read = pool.submit((tmp_path / "pipe").read_text)
        write_text(tmp_path / "pipe", "through")
        assert read.result(timeout=10) == "through"
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("bad", ["none/a", "file/a", "folder", "x" * 300])
def test_what_can_not_be_written_is_said_beforehand(tmp_path, bad):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=f"can't write {re.escape(str(tmp_path / bad))} "):
        check_writable(tmp_path / bad)
    check_writable(tmp_path / "file")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "kept"
