import dataclasses
import json
from pathlib import Path

import pytest

from penchant.errors import ModelError
from penchant.lens import calibration as module
from penchant.lens.calibration import NEUTRAL, Calibration, calibration_for, read_calibration, save_calibration
from penchant.models.loading import load_model
from tests.families import save_tiny, tiny

MADE = Calibration(
    "org/tiny",
    "f" * 64,
    ((3, 1), (0, 2)),
    (0.7, 1.5),
    prefix="Voilà ce qu'elle a écrit: ",
    neutral=("Hallo.", "什么?"),
    baseline=0.55,
    previous=0.21,
    following=0.12,
    fusion={"attention+bm25": {"attention": 1.0, "bm25": 0.4, "previous": 0.2, "following": 0.1}},
    scores={"source": "planted", "auc_alone": {"3.1": 0.9}},
)


def write(path: Path, **changes: object) -> Path:
    save_calibration(MADE, path)
    document = json.loads(path.read_text("utf-8"))
    document.update(changes)
    path.write_text(json.dumps({key: value for key, value in document.items() if value is not ...}), "utf-8")
    return path


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "tiny.json"
    save_calibration(MADE, path)
    assert read_calibration(path) == MADE
    assert "Voilà" in path.read_text("utf-8")
    save_calibration(dataclasses.replace(MADE, baseline=0.1), path)
    assert read_calibration(path).baseline == 0.1
    assert [p.name for p in path.parent.iterdir()] == ["tiny.json"]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tiny.json"
    save_calibration(MADE, path)

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        save_calibration(dataclasses.replace(MADE, baseline=0.1), path)
    assert read_calibration(path) == MADE
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.json"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1, 2]", b"null", b"\xff\xfe\x00", b'{"format": 1}', b'{"format": 1, "heads": 5}'],
    ids=repr,
)
def test_a_corrupt_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"broken\.json isn't a calibration file .*heads discover") as caught:
        read_calibration(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"heads": [[1]]},
        {"heads": [["a", "b"]]},
        {"heads": ...},
        {"weights": "ab"},
        {"weights": None},
        {"neutral": 3},
        {"baseline": "much"},
        {"baseline": None},
        {"previous": [0.2]},
        {"fusion": {"attention+bm25": {"attention": "x"}}},
        {"fusion": [1]},
        {"unknown": 1},
        {"model_name": ...},
    ],
    ids=str,
)
def test_a_damaged_field_is_named_with_its_file(tmp_path: Path, changes: dict[str, object]) -> None:
    path = write(tmp_path / "damaged.json", **changes)
    with pytest.raises(ModelError, match=r"damaged\.json isn't a calibration file"):
        read_calibration(path)


def test_other_faults_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"missing\.json isn't a calibration file"):
        read_calibration(tmp_path / "missing.json")
    with pytest.raises(ModelError, match="expected calibration format 1"):
        read_calibration(write(tmp_path / "old.json", format=0))
    with pytest.raises(ModelError, match="2 heads and 1 weights"):
        read_calibration(write(tmp_path / "short.json", weights=[1.0]))
    with pytest.raises(ModelError, match="0 heads and 0 weights"):
        read_calibration(write(tmp_path / "none.json", heads=[], weights=[]))
    with pytest.raises(ModelError, match="no neutral requests"):
        read_calibration(write(tmp_path / "silent.json", neutral=[]))


@pytest.mark.parametrize("head", [(4, 0), (0, 4), (-1, 0), (0, -1)])
def test_heads_that_the_model_does_not_have(head: tuple[int, int]) -> None:
    made = dataclasses.replace(MADE, heads=((0, 0), head))
    with pytest.raises(ModelError, match=rf"reads head {head[0]}\.{head[1]}, but tiny-llama has 4 layers of 4 heads"):
        made.check(tiny("llama"))
    dataclasses.replace(MADE, heads=((3, 3), (0, 0))).check(tiny("llama"))


def test_what_decides_the_stored_keys() -> None:
    digest = MADE.encoding_digest
    for same in (
        {"weights": (1.0, 1.0)},
        {"baseline": 0.0},
        {"previous": 0.0},
        {"neutral": NEUTRAL},
        {"fusion": {}},
        {"heads": ((0, 2), (3, 1))},
    ):
        assert dataclasses.replace(MADE, **same).encoding_digest == digest  # type: ignore[arg-type]
    for other in ({"prefix": ""}, {"heads": ((3, 1), (0, 3))}):
        assert dataclasses.replace(MADE, **other).encoding_digest != digest  # type: ignore[arg-type]
    assert MADE.last_layer == 3


def test_the_name_can_name_a_file(tmp_path: Path) -> None:
    path = tmp_path / f"{MADE.name}.json"
    save_calibration(MADE, path)
    assert path.parent == tmp_path
    assert MADE.name == f"org--tiny-{MADE.encoding_digest[:8]}"


def test_the_own_calibration_comes_before_the_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny("llama")
    fits = dataclasses.replace(MADE, model_fingerprint=loaded.fingerprint)
    own, shipped = tmp_path / "own", tmp_path / "shipped"
    monkeypatch.setattr(module, "SHIPPED", shipped)
    with pytest.raises(ModelError, match=r"no calibration for tiny-llama.*heads discover --model tiny-llama"):
        calibration_for(loaded, own)
    save_calibration(MADE, own / "a-other-model.json")
    save_calibration(dataclasses.replace(fits, baseline=0.3), shipped / "b.json")
    assert calibration_for(loaded, own).baseline == 0.3
    save_calibration(dataclasses.replace(fits, baseline=0.4), own / "z.json")
    assert calibration_for(loaded, own).baseline == 0.4
    assert calibration_for(loaded).baseline == 0.3
    save_calibration(dataclasses.replace(fits, heads=((9, 0),), weights=(1.0,)), own / "b.json")
    with pytest.raises(ModelError, match=r"reads head 9\.0"):
        calibration_for(loaded, own)
    (own / "a.json").write_text("{")
    with pytest.raises(ModelError, match=r"a\.json isn't a calibration file"):
        calibration_for(loaded, own)


def test_a_model_that_cannot_be_read_is_not_sent_to_discover_heads(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"MambaForCausalLM can't be marked by attention.*mark with bm25") as caught:
        calibration_for(tiny("mamba"), tmp_path)
    assert "discover" not in str(caught.value)


def test_a_hint_names_what_the_model_was_loaded_by(tmp_path: Path) -> None:
    loaded = load_model(save_tiny("lfm2", tmp_path / "a model"))
    with pytest.raises(ModelError, match=r"heads discover --model '.*/a model'` once"):
        calibration_for(loaded, tmp_path)


def test_heads_at_a_layer_that_does_not_attend() -> None:
    with pytest.raises(ModelError, match=r"reads head 0\.0, but tiny-lfm2 .* which attends at \[1, 3\]"):
        dataclasses.replace(MADE, heads=((0, 0), (1, 0))).check(tiny("lfm2"))
