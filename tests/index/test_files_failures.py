import errno
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from penchant.history.records import History, Record
from penchant.index import chunk_list, files
from penchant.index.attention import AttentionIndex, Change
from penchant.index.files import MANIFEST, CorruptIndexError, IndexFiles
from tests.index.cases import encoder_of, history_of, scores, texts
from tests.index.on_disk import BODIES, HISTORY, chunks, folder, opened, written


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_list, "RECORDS_A_CHUNK", 4)


def damage(path: Path, how: str) -> None:
    raw = bytearray(path.read_bytes())
    if how == "truncated":
        path.write_bytes(raw[: len(raw) // 2])
    elif how == "emptied":
        path.write_bytes(b"")
    elif how == "flipped":
        raw[-5] ^= 4
        path.write_bytes(raw)
    elif how == "removed":
        path.unlink()
    elif how == "a directory":
        path.unlink()
        path.mkdir()


@pytest.mark.parametrize("how", ["truncated", "emptied", "flipped", "removed", "a directory"])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_damaged_chunk_is_rebuilt_and_said(
    how: str, which: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = scores(written(tmp_path), HISTORY)
    entries = json.loads((folder(tmp_path) / MANIFEST).read_text())["chunks"]
    damage(folder(tmp_path) / entries[which]["file"], how)
    with caplog.at_level(logging.WARNING):
        index = opened(tmp_path)
    assert index.tokens == 0
    [record] = caplog.records
    assert "can't be used" in record.message
    assert "rebuilding" in record.message
    if how == "a directory":
        (folder(tmp_path) / entries[which]["file"]).rmdir()
    # New chunk objects may get the ids of those read before the damage was found: their files must not be taken.
    index.sync(HISTORY)
    np.testing.assert_allclose(scores(index, HISTORY), expected, atol=2e-3)
    again = opened(tmp_path)
    assert again.sync(HISTORY) == Change(0, 0, 0)
    assert np.array_equal(scores(again, HISTORY), scores(index, HISTORY))
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xff", b'{"format": 1}', b'{"format": 9, "identity": "", "chunks": []}'],
    ids=repr,
)
def test_a_damaged_manifest_is_rebuilt_and_said(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = scores(written(tmp_path), HISTORY)
    (folder(tmp_path) / MANIFEST).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        index = opened(tmp_path)
    assert [record.message.count("rebuilding it") for record in caplog.records] == [1]
    assert index.sync(HISTORY).records_added == len(HISTORY)
    np.testing.assert_allclose(scores(index, HISTORY), expected, atol=2e-3)
    assert opened(tmp_path).sync(HISTORY) == Change(0, 0, 0)
    assert len(chunks(tmp_path)) == 3  # the old ones are gone


def test_any_flipped_bit_of_a_manifest_is_noticed_or_harmless(tmp_path: Path) -> None:
    history = history_of(BODIES[:5])
    expected = scores(written(tmp_path, history), history)
    manifest = folder(tmp_path) / MANIFEST
    raw = manifest.read_bytes()
    rng = np.random.default_rng(0)
    for at, bit in zip(rng.integers(0, len(raw), 60), rng.integers(0, 8, 60), strict=True):
        broken = bytearray(raw)
        broken[at] ^= 1 << int(bit)
        manifest.write_bytes(broken)
        loader = IndexFiles(folder(tmp_path), opened(tmp_path).identity)
        try:
            stored = loader.load()
        except CorruptIndexError:
            continue
        index = AttentionIndex(encoder_of())  # in memory: what was loaded must give the right answer after a sync
        index._stored.chunks = stored
        index.sync(history)
        np.testing.assert_allclose(scores(index, history), expected, atol=2e-3)
    manifest.write_bytes(raw)


def test_chunks_that_no_manifest_names_are_swept(tmp_path: Path) -> None:
    index = written(tmp_path)
    half = f".manifest.json.{'2' * 32}.part"
    for name in ("0" * 32 + ".safetensors", "1" * 32 + ".safetensors.partial", half):
        (folder(tmp_path) / name).write_bytes(b"left by a crash")
    index.sync(history_of([*BODIES, "one more"]))
    assert len(chunks(tmp_path)) == 4
    assert not (folder(tmp_path) / half).exists()


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["save_file", "_checksum", "write_bytes", "fsync"])
def test_a_full_disk_costs_the_file_not_the_answer(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = history_of(BODIES[:4])
    written(tmp_path, first)
    index = opened(tmp_path)
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(os if call == "fsync" else files, call, no_space)
        assert index.sync(HISTORY).records_added == 8
        expected = scores(index, HISTORY)
    np.testing.assert_allclose(expected, scores(written(tmp_path / "other"), HISTORY), atol=2e-3)
    said = [record.getMessage().split(":")[0] for record in caplog.records]
    assert said == ["the attention index"] * 2 + ["the neutral query"]
    assert "No space left on device" in caplog.text
    [at] = [path for path in tmp_path.iterdir() if path.name != "other"]
    assert not list(at.glob("*.part"))
    with caplog.at_level(logging.WARNING):
        caplog.clear()
        kept = opened(tmp_path)  # what was there before is still there
        assert kept.sync(HISTORY).records_added == 8
        assert caplog.records == []
    np.testing.assert_allclose(scores(kept, HISTORY), expected, atol=2e-3)


def test_a_disk_that_recovers_gets_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = written(tmp_path)
    shuffled = history_of([f"{body} again" for body in BODIES])
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_bytes", no_space)
        for _ in range(5):  # chunks come and go while nothing can be written
            index.sync(shuffled)
            index.sync(HISTORY)
    index.sync(shuffled)
    again = opened(tmp_path)
    assert again.sync(shuffled) == Change(0, 0, 0)
    assert np.array_equal(scores(again, shuffled), scores(index, shuffled))
    np.testing.assert_allclose(scores(again, shuffled), scores(written(tmp_path / "n", shuffled), shuffled), atol=2e-3)


def test_a_failed_write_does_not_keep_what_was_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    index = written(tmp_path)
    rest = history_of(BODIES[1:], first=1)
    monkeypatch.setattr(files, "save_file", no_space)
    with caplog.at_level(logging.WARNING):
        index.sync(rest)
    assert "No space left" in caplog.text
    assert chunks(tmp_path) == []
    assert not (folder(tmp_path) / MANIFEST).exists()
    assert opened(tmp_path).tokens == 0
    assert scores(index, rest).shape == (11,)


def test_a_path_that_is_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with caplog.at_level(logging.WARNING):
        index = written(blocked)
    assert scores(index, HISTORY).shape == (12,)
    assert caplog.records
    assert blocked.read_text() == "in the way"


@pytest.mark.parametrize("stop_at", [2, 6, 12])
def test_after_ctrl_c_the_next_process_goes_on(stop_at: int, tmp_path: Path) -> None:
    def stop(step: str, done: int, total: int | None) -> None:
        if done == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path).sync(HISTORY, stop)
    index = opened(tmp_path)
    assert index.sync(HISTORY).records_added == 12 - (stop_at - 1) // 4 * 4
    np.testing.assert_allclose(scores(index, HISTORY), scores(written(tmp_path / "new"), HISTORY), atol=2e-3)


@pytest.mark.parametrize("call", ["save_file", "_checksum", "write_bytes", "fsync"])
def test_ctrl_c_in_a_write_leaves_what_was_there(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    index = written(tmp_path)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    longer = history_of([*BODIES, "one more film", "by the sea"])
    with monkeypatch.context() as patch:
        patch.setattr(os if call == "fsync" else files, call, stop)
        with pytest.raises(KeyboardInterrupt):
            index.sync(longer)
    assert not list(folder(tmp_path).glob("*.part"))
    assert opened(tmp_path).sync(HISTORY) == Change(0, 0, 0)
    index.sync(longer)
    index.sync(HISTORY)
    assert opened(tmp_path).sync(HISTORY) == Change(0, 0, 0)
    assert caplog.records == []


def test_merged_chunks_replace_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_list, "MAX_CHUNKS", 3)
    monkeypatch.setattr(chunk_list, "RECORDS_A_CHUNK", 100)
    index = opened(tmp_path)
    for n in range(1, 12):
        index.sync(history_of(BODIES[:n]))
        assert len(chunks(tmp_path)) <= 3 + n // chunk_list.RECORDS_A_CHUNK  # full ones stay as they are
    history = history_of(BODIES[:11])
    again = opened(tmp_path)
    assert again.sync(history) == Change(0, 0, 0)
    assert np.array_equal(scores(again, history), scores(index, history))


def test_a_reader_that_meets_a_writer_reads_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = written(tmp_path)
    rest = history_of(BODIES[1:], first=1)
    reader = IndexFiles(folder(tmp_path), index.identity)
    original = IndexFiles._read
    raced = []

    def slow(self: IndexFiles, entry: dict[str, object]) -> object:
        if self is reader and not raced:
            raced.append(True)
            index.sync(rest)  # another process replaces manifest and chunk while this one reads
        return original(self, entry)

    monkeypatch.setattr(IndexFiles, "_read", slow)
    stored = reader.load()
    assert raced
    assert sorted(key[0] for chunk in stored for key, _ in chunk.records) == sorted(record.id for record in rest)


PROCESS = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from penchant.index import chunk_list
chunk_list.RECORDS_A_CHUNK = 3
from tests.index.cases import encoder_of
from tests.index.test_files_failures import grow
encoder_of()
print("ready", flush=True)
grow(Path(sys.argv[1]), 1)
"""


def grow(directory: Path, mine: int) -> None:
    """Sync ever longer histories, each process with other gaps, each time from what lies on disk; at last all."""
    bodies = texts(36)
    for n in range(3, 37, 3):
        kept = [Record(body, id=f"r{i}") for i, body in enumerate(bodies[:n]) if n == 36 or i % 5 != mine]
        opened(directory).sync(History(kept, "ann"))


@pytest.mark.slow
def test_two_processes_syncing_one_directory_end_in_a_readable_index(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", PROCESS, tmp_path]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with caplog.at_level(logging.WARNING):
            grow(tmp_path, 0)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said.decode()
    assert b"can't be used" not in said
    history = history_of(texts(36))
    with caplog.at_level(logging.WARNING):
        index = opened(tmp_path)
        assert index.sync(history) == Change(0, 0, 0)
    assert caplog.records == []
    fresh = AttentionIndex(encoder_of())
    fresh.sync(history)
    np.testing.assert_allclose(scores(index, history), scores(fresh, history), atol=2e-3)
    assert {path.name for path in chunks(tmp_path)} == {
        entry["file"] for entry in json.loads((folder(tmp_path) / MANIFEST).read_text())["chunks"]
    }
