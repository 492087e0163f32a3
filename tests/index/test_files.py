from pathlib import Path

import numpy as np
import pytest
import torch

from penchant.history.records import History
from penchant.index import attention, chunk_list
from penchant.index.attention import AttentionIndex, Change
from penchant.index.encode import Encoder
from penchant.index.files import MANIFEST, CorruptIndexError, IndexFiles
from penchant.index.table import Storage
from tests.index.cases import calibration_of, encoder_of, history_of, lens_of, model_calls, scores
from tests.index.on_disk import BODIES, HISTORY, chunks, folder, opened, written


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_list, "RECORDS_A_CHUNK", 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("storage", ["native", "int8"])
def test_reopened_it_scores_the_same_and_encodes_nothing(storage: Storage, dtype: torch.dtype, tmp_path: Path) -> None:
    encoder = encoder_of("llama", dtype)
    index = AttentionIndex(encoder, tmp_path, storage)
    index.sync(HISTORY)
    expected = scores(index, HISTORY)
    with model_calls(encoder.lens) as calls:
        again = AttentionIndex(encoder, tmp_path, storage)
        assert again.sync(HISTORY) == Change(0, 0, 0)
        assert calls == []
        assert np.array_equal(scores(again, HISTORY), expected)
        assert len(calls) == 1  # the request
    assert (again.tokens, again.nbytes) == (index.tokens, index.nbytes)
    assert len(chunks(tmp_path)) == 3
    files = {path.suffix for path in folder(tmp_path).rglob("*") if path.is_file() and path.name != ".lock"}
    assert files == {".json", ".safetensors"}


@pytest.mark.parametrize("change", ["neutral", "heads", "model", "damage"])
def test_the_neutral_query_is_read_again_only_if_it_is_the_same(change: str, tmp_path: Path) -> None:
    scores(written(tmp_path), HISTORY)
    options: dict[str, object] = {}
    if change == "neutral":
        options = {"neutral": ("What?", "Where is it?")}
    elif change == "heads":  # the same keys, so the same index
        options = {"heads": tuple(reversed(calibration_of(lens_of()).heads))}
    elif change == "damage":
        [file] = [one for one in folder(tmp_path).rglob("*.safetensors") if one not in chunks(tmp_path)]
        file.write_bytes(file.read_bytes()[:-4] + b"\x01\x02\x03\x04")
    lens = lens_of("llama", seed=int(change == "model"))
    encoder = Encoder(lens, calibration_of(lens, **options))
    found = scores(AttentionIndex(encoder, tmp_path), HISTORY)
    alone = AttentionIndex(Encoder(lens, calibration_of(lens, **options)))
    np.testing.assert_array_equal(found, scores(alone, HISTORY))


def test_stored_keys_are_mapped_not_copied(tmp_path: Path) -> None:
    written(tmp_path)
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("this system doesn't list its maps")
    index = opened(tmp_path)
    listed = maps.read_text()
    assert all(path.name in listed for path in chunks(tmp_path))
    assert index.tokens > 0


def test_no_text_is_written(tmp_path: Path) -> None:
    history = history_of(["peanuts under the pavilion", "a second record of Zanzibar"])
    scores(written(tmp_path, history), history, "which pavilion?")
    content = b"".join(path.read_bytes() for path in folder(tmp_path).rglob("*") if path.is_file())
    assert b"pavilion" not in content
    assert b"Zanzibar" not in content


@pytest.mark.parametrize(
    "change", ["model", "family", "dtype", "heads", "prefix", "storage", "block"], ids=lambda name: f"another {name}"
)
def test_what_another_model_or_calibration_stored_is_not_used(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = written(tmp_path)
    options: dict[str, object] = {}
    if change == "family":
        options = {"family": "phi3"}
    elif change == "dtype":
        options = {"dtype": torch.bfloat16}
    elif change == "heads":
        options = {"heads": ((2, 3), (1, 0), (2, 2), (0, 3))}
    elif change == "prefix":
        options = {"prefix": "Other notes: "}
    elif change == "block":
        monkeypatch.setattr(attention, "BLOCK", 128)
    if change == "model":
        lens = lens_of("llama", seed=1)
        other = AttentionIndex(Encoder(lens, calibration_of(lens)), tmp_path)
    else:
        other = opened(tmp_path, "int8" if change == "storage" else "native", **options)
    assert other.identity != first.identity
    assert other.tokens == 0
    assert other.sync(HISTORY).records_added == len(HISTORY)
    assert written(tmp_path).sync(HISTORY) == Change(0, 0, 0)  # the first one's files are still good


def test_weights_baseline_and_smoothing_leave_the_index_usable(tmp_path: Path) -> None:
    written(tmp_path)
    other = opened(tmp_path, weights=(1.0, 1.0, 1.0, 1.0), baseline=0.1, previous=0.5, neutral=("Hm?",))
    assert other.sync(HISTORY) == Change(0, 0, 0)


def test_untouched_chunks_are_not_written_again(tmp_path: Path) -> None:
    index = written(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in chunks(tmp_path)}
    longer = history_of([*BODIES, "one more film"])
    index.sync(longer)
    after = {path: path.stat().st_mtime_ns for path in chunks(tmp_path)}
    assert before.items() <= after.items()
    assert len(after) == len(before) + 1
    again = opened(tmp_path)
    again.sync(history_of(BODIES[1:], first=1))  # of a loaded index too: only the chunk of the dropped record goes
    left = set(chunks(tmp_path))
    assert len(left & before.keys()) == 2
    np.testing.assert_allclose(
        scores(opened(tmp_path), longer), scores(written(tmp_path / "new", longer), longer), atol=2e-3
    )


def test_chunks_that_another_process_replaced_are_written_again(tmp_path: Path) -> None:
    index = written(tmp_path)
    written(tmp_path, history_of(["something else"]))  # sweeps the files of the first
    longer = history_of([*BODIES, "one more film"])
    index.sync(longer)
    again = opened(tmp_path)
    assert again.sync(longer) == Change(0, 0, 0)
    assert np.array_equal(scores(again, longer), scores(index, longer))


def test_files_of_another_identity_are_refused(tmp_path: Path) -> None:
    index = written(tmp_path)
    other = index.identity[:16] + "0" * 48  # the folder's name is the same
    with pytest.raises(CorruptIndexError, match="another model, calibration or encoder"):
        IndexFiles(folder(tmp_path), other).load()


def test_forgotten_rows_leave_the_disk(tmp_path: Path) -> None:
    index = written(tmp_path)
    rows = index._stored.chunks[0].keys[:, : index._stored.chunks[0].records[0][1]].contiguous()
    name = index._stored.chunks[0].records[0][0][0]
    raw = rows[0].numpy().tobytes()
    assert any(raw in path.read_bytes() for path in chunks(tmp_path))
    index.sync(History([record for record in HISTORY if record.id != name], "ann"))
    assert not any(raw in path.read_bytes() for path in chunks(tmp_path))
    assert f'"{name}"' not in (folder(tmp_path) / MANIFEST).read_text()
