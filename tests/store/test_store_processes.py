"""Real processes: two writers, a kill in the middle, a full disk."""

import signal
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from penchant.errors import StoreError
from penchant.history.records import Record
from penchant.store import Counts, Store
from penchant.store import engine as database

PRELUDE = """
import resource, sys
from penchant.errors import StoreError
from penchant.history.records import Record
from penchant.store import Store

name, *place = sys.argv[1:]

def records(prefix, count):
    text = "text with many words " * 20
    return (Record(f"{prefix} {i} {text}", id=f"{prefix}-{i}") for i in range(count))
"""


def start(code, *arguments):
    program = PRELUDE + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_two_processes_open_and_write_one_new_store(open_store, places, tmp_path):
    code = """
        with Store(*place) as store:
            pairs = ((user, record) for record in records(name, 400) for user in ("shared", name))
            print(store.add_many(pairs, batch=16).added)
    """
    writers = [start(code, name, *places.arguments(tmp_path)) for name in ("one", "two")]
    results = [writer.communicate(timeout=120) for writer in writers]
    assert [out.strip() for out, _ in results] == ["800", "800"], results
    with open_store(tmp_path) as store:
        assert [(entry.user, entry.records) for entry in store.users()] == [("one", 400), ("shared", 800), ("two", 400)]
        for name in ("one", "two"):
            mine = [record.id for record in store.history("shared") if record.id.startswith(name)]
            assert mine == [f"{name}-{i}" for i in range(400)]


def test_kill_in_the_middle_of_an_import_loses_nothing_acknowledged(open_store, places, tmp_path):
    code = """
        store = Store(*place)
        told = lambda counts: print(counts.added, flush=True)
        store.add_many((("u", record) for record in records(name, 10**6)), batch=50, acknowledge=told)
    """
    importer = start(code, "r", *places.arguments(tmp_path))
    acknowledged = [int(importer.stdout.readline()) for _ in range(12)][-1]
    importer.send_signal(signal.SIGKILL)
    rest = importer.communicate(timeout=60)[0].split()
    assert importer.returncode == -signal.SIGKILL
    acknowledged = max([acknowledged, *(int(line) for line in rest if line)])
    with open_store(tmp_path) as store:
        kept = store.history("u")
        assert len(kept) >= acknowledged
        assert len(kept) % 50 == 0
        assert [record.id for record in kept] == [f"r-{i}" for i in range(len(kept))]
        assert store.add("u", list(kept)) == Counts(unchanged=len(kept))
    if places.server is None:
        with sqlite3.connect(tmp_path / "penchant.db") as raw:
            assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_disk_that_fills_up(tmp_path):
    # The kernel refuses to let any file of this process grow over 1 MiB: a write fails as on a full disk or quota.
    code = """
        store = Store(*place)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        told = []
        try:
            store.add_many((("u", record) for record in records(name, 10**5)), batch=100, acknowledge=told.append)
        except StoreError as error:
            print(told[-1].added, error)
    """
    importer = start(code, "r", tmp_path)
    out, errors = importer.communicate(timeout=120)
    acknowledged, _, message = out.partition(" ")
    assert "disk or the quota is full; free some space" in message, (out, errors)
    assert message.count("\n") == 1
    with Store(tmp_path) as store:
        assert store.count("u") == int(acknowledged) > 0
        assert store.add("u", [Record("there is room again")]) == Counts(added=1)


def test_a_database_that_may_not_grow(tmp_path):
    with Store(tmp_path) as store:
        store.add("u", [Record("kept")])
        with database.reading(store._engine) as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=12")
        with pytest.raises(StoreError, match=r"database or disk is full.*what was acknowledged is kept"):
            store.add("u", [Record("long words " * 2_000 + str(i)) for i in range(50)])
        assert [record.text for record in store.history("u")] == ["kept"]
