"""Files of derived rows: what is written is read again, whole or not at all, and never behind an erasure's back."""

import json
import subprocess
import sys
import threading

import pytest
import torch

from penchant.errors import StoreError
from penchant.history.records import Record
from penchant.store import Store
from penchant.store.erasure import lineage
from penchant.store.erasure.lineage import (
    Source,
    append_lines,
    derived_line,
    keep_lines,
    locked,
    parse_source,
    read_rows,
    root_of,
    save_rows,
    sidecar_of,
    source_of,
    write_shared,
)
from penchant.store.location import user_folder

ANN, BOB = source_of("ann", "r1"), source_of("bob", "r2")


def line(text, *sources):
    return derived_line({"text": text}, sources)


def test_a_source_is_two_hashes_and_round_trips():
    assert user_folder("ann").startswith(ANN.user)
    assert source_of("ann").user == ANN.user != BOB.user
    assert len({source_of("ann", "r1"), source_of("ann", "r2"), source_of("bob", "r1"), source_of("ann")}) == 4
    assert "ann" not in str(ANN)
    assert "r1" not in str(ANN)
    for source in (ANN, source_of("ann")):
        assert parse_source(str(source)) == source
    for wrong in ("ann.r1", "", None, str(ANN)[:-1], str(ANN) + "0", [str(ANN)]):
        with pytest.raises(ValueError, match="no source"):
            parse_source(wrong)


def test_a_hash_is_never_hashed_again():
    with pytest.raises(TypeError, match="own hashes"):
        source_of(*ANN)
    with pytest.raises(TypeError, match="own hashes"):
        source_of(*parse_source(str(ANN)))


def test_lines_are_appended_and_a_torn_one_is_cut(tmp_path):
    path = tmp_path / "deep" / "rows.jsonl"
    assert append_lines(path, [line("one", ANN), line("two")]) == [True, True]
    whole = path.read_bytes()
    for torn in (b'{"sources": ["', b'{"sources": [], "text": "' + b"x" * 200_000, b"\xff"):
        path.write_bytes(whole + torn)
        append_lines(path, [line("three\n\u2028half \ud83d")])
        rows = [json.loads(row) for row in path.read_bytes().split(b"\n")[:-1]]
        assert [row["text"] for row in rows] == ["one", "two", "three\n\u2028half ?"]
        assert rows[0]["sources"] == [str(ANN)]
    path.write_bytes(b"torn from the start")
    append_lines(path, [line("one")])
    assert path.read_bytes().startswith(lineage.FIRST)


def test_what_may_not_be_written_any_more_is_left_out(tmp_path):
    path = tmp_path / "rows.jsonl"
    assert append_lines(path, [line("one"), line("two")], lambda: [False, False]) == [False, False]
    assert not path.exists()
    assert append_lines(path, [line("one"), line("two")], lambda: [False, True]) == [False, True]
    assert [json.loads(row)["text"] for row in path.read_text().splitlines()] == ["two"]
    tensors = {"a": torch.arange(3.0)}
    path = tmp_path / "bank.safetensors"
    assert save_rows(path, tensors, [[ANN], [], [BOB]], still=lambda: [True, False, True]) == [True, False, True]
    read, sources, _ = read_rows(path)
    assert (read["a"].tolist(), sources) == ([0.0, 2.0], [[ANN], [BOB]])
    save_rows(path, tensors, [[], [], []], still=lambda: [False] * 3)
    assert not path.exists()


def test_keep_lines_leaves_the_others_byte_for_byte(tmp_path):
    path = tmp_path / "rows.jsonl"
    odd = b'{"sources":[],  "text": "b"}\r\n'
    path.write_bytes(line("a").encode() + b"\n" + odd + line("c").encode() + b"\n{torn")
    assert keep_lines(path, lambda row: b'"a"' not in row) == 1
    assert path.read_bytes() == odd + line("c").encode() + b"\n"
    assert keep_lines(path, lambda row: False) == 2
    assert not path.exists()
    assert keep_lines(path, lambda row: False) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8])
def test_vectors_are_read_as_they_were_written(tmp_path, dtype):
    tensors = {"15.mlp": torch.arange(12).reshape(3, 4).to(dtype), "scale": torch.tensor([1, 2, 3], dtype=dtype)}
    path = tmp_path / "bank.safetensors"
    save_rows(path, tensors, [[ANN, BOB], [], [BOB]], {"model": "tiny", "reading": "mean"})
    read, sources, metadata = read_rows(path)
    assert all(torch.equal(read[name], tensors[name]) and read[name].dtype == dtype for name in tensors)
    assert sources == [[ANN, BOB], [], [BOB]]
    assert isinstance(sources[0][0], Source)
    assert metadata == {"model": "tiny", "reading": "mean"}
    assert [file.name for file in tmp_path.glob("*[!k]")] == ["bank.safetensors"]
    with pytest.raises(ValueError, match="expected 2 rows"):
        save_rows(path, tensors, [[], []])


def test_a_file_of_something_else_is_refused_in_one_line(tmp_path):
    path = tmp_path / "bank.safetensors"
    with pytest.raises(FileNotFoundError):
        read_rows(path)
    path.write_bytes(b"not at all")
    with pytest.raises(StoreError, match=r"bank\.safetensors isn't a file of derived rows"):
        read_rows(path)
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(StoreError, match="isn't a file of derived rows"):
        read_rows(path)


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "bank.safetensors"
    save_rows(path, {"a": torch.zeros(1)}, [[]])
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lineage.os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        save_rows(path, {"a": torch.ones(1)}, [[]])
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


def test_aggregates_stand_beside_their_contributors(tmp_path, monkeypatch):
    path = write_shared(
        tmp_path, "population/m.bin", b"numbers", [source_of("bob"), source_of("ann"), source_of("ann")]
    )
    assert path == tmp_path / "shared" / "population" / "m.bin"
    assert path.read_bytes() == b"numbers"
    assert set(json.loads(sidecar_of(path).read_text())) == {str(source_of("ann")), str(source_of("bob"))}
    write_shared(tmp_path, "two.bin", b"first", [BOB], still=lambda: True)
    with pytest.raises(StoreError, match="erased meanwhile"):
        write_shared(tmp_path, "two.bin", b"newer", [ANN], still=lambda: False)
    assert (tmp_path / "shared" / "two.bin").read_bytes() == b"first"
    calls = []

    def second_fails(target, content):
        calls.append(target)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(lineage, "replace_file", second_fails)
    with pytest.raises(StoreError, match="No space left"):
        write_shared(tmp_path, "population/m.bin", b"other numbers", [])
    assert not path.exists()  # never beside contributors that aren't its own


def test_the_lock_is_the_stores(tmp_path, monkeypatch):
    folder = tmp_path / "store" / "contrasts" / user_folder("ann")
    assert root_of(folder / "deep" / "f") == tmp_path / "store"
    assert root_of(tmp_path / "any" / "f") == tmp_path / "any"
    monkeypatch.setattr(lineage, "BUSY_SECONDS", 0.05)
    with (
        locked(tmp_path / "store"),
        pytest.raises(StoreError, match="held by another process"),
    ):
        append_lines(folder / "rows.jsonl", [line("x")])
    assert append_lines(folder / "rows.jsonl", [line("x")]) == [True]


def test_what_is_erased_while_a_row_is_made_is_not_written(tmp_path):
    """A writer that read a donor's record before `forget` waits for it, and then sees that the record is gone."""
    with Store(tmp_path) as store:
        store.add("ann", [Record("a text", id="r1")])
        store.add("bob", [Record("b text", id="r2")])
        path = store.user_dir("contrasts", "bob") / "rows.jsonl"
        asked = []

        def still():
            asked.append(True)
            return [store.holds("ann", "r1")]

        writer = threading.Thread(target=lambda: append_lines(path, [line("derived from ann", ANN)], still))
        with locked(tmp_path):
            writer.start()
            writer.join(0.2)
            assert writer.is_alive()
            assert not asked
        writer.join(20)
        assert path.exists()
        receipt = store.forget("ann")
        assert receipt.derived == 1
        append_lines(path, [line("derived from ann", ANN)], still)
        assert not path.exists()


def test_processes_append_side_by_side(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from penchant.store.erasure.lineage import append_lines, derived_line\n"
        "for i in range(40): append_lines(Path(sys.argv[1]), [derived_line({'n': f'{sys.argv[2]}{i}'}, [])])\n"
    )
    path = tmp_path / "rows.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in "ab"]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    rows = [json.loads(row)["n"] for row in path.read_text().splitlines()]
    assert sorted(rows) == sorted(f"{name}{i}" for name in "ab" for i in range(40))
