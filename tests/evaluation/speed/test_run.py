"""The speed benchmark as a whole, on a tiny model: parts are measured, kept, skipped and shown. No figure counts."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from penchant.errors import InputError, ModelError
from penchant.evaluation.speed import run as speed
from penchant.evaluation.speed.report import markdown, read_results
from penchant.evaluation.speed.run import SpeedOptions, described, run_speed
from penchant.evaluation.speed.setting import Save, Setting
from penchant.lens.calibration import Calibration, save_calibration
from penchant.models.loading import load_model
from tests.families import save_tiny

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speed") / "tiny"
    loaded = load_model(save_tiny("llama", folder), device="cpu")
    save_calibration(
        Calibration(loaded.name, loaded.fingerprint, ((1, 0),), (1.0,), prefix="So: "), folder / "calibration.json"
    )
    return folder


def _options(model: Path, out: Path, **more: Any) -> SpeedOptions:
    given = {"model": str(model), "calibration": model / "calibration.json", "threads": 1, "quick": True, **more}
    return SpeedOptions(out, **given)


def test_ingestion(model: Path, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    said: list[str] = []
    document = run_speed(_options(model, tmp_path / "new" / "out", parts=["C"], say=said.append))
    entry = document["parts"]["C"]
    assert torch.get_num_threads() == threads
    assert (entry["model"], entry["quick"], entry["complete"]) == ("tiny", True, True)
    native, packed = entry["result"]["native"], entry["result"]["int8"]
    assert native["tokens_per_second"] == pytest.approx(entry["result"]["tokens"] / native["seconds"])
    assert native["tokens_fed_per_token"] >= 1
    assert packed["index_bytes"] < native["index_bytes"]
    assert json.loads((tmp_path / "new" / "out" / "speed.json").read_text(encoding="utf-8")) == document
    page = (tmp_path / "new" / "out" / "speed.md").read_text(encoding="utf-8")
    assert page == markdown(document)
    assert "## C. Ingestion\n\nA quick run" in page
    assert str(tmp_path) not in json.dumps(document)
    assert said[0] == "part C"


def test_a_part_that_is_done_is_left_alone(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def part(name: str, *, fails: bool = False) -> Any:
        def measure(setting: Setting, save: Save) -> None:
            ran.append(name)
            save({})
            if fails:
                raise KeyboardInterrupt
            save({})

        return measure

    parts = {"B": part("B"), "C": part("C", fails=True), "D": part("D")}
    monkeypatch.setattr(speed, "PARTS", parts)
    monkeypatch.setattr(speed, "markdown", str)
    options = _options(model, tmp_path, parts=["B", "C", "D"])
    with pytest.raises(KeyboardInterrupt):
        run_speed(options)
    assert {k: entry["complete"] for k, entry in read_results(tmp_path / "speed.json")["parts"].items()} == {
        "B": True,
        "C": False,
    }
    parts["C"] = part("C")
    run_speed(options)
    assert ran == ["B", "C", "C", "D"]  # B was finished and C was not
    run_speed(_options(model, tmp_path, parts=["D"], quick=False))
    assert ran[4:] == ["D"]  # another setting is another measurement
    document = run_speed(_options(model, tmp_path, parts=["B"], fresh=True))
    assert ran[5:] == ["B"]
    assert sorted(document["parts"]) == ["B", "C", "D"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"parts": ["A", "F"]}, "no part 'F': expected some of A, B, C, D, E"),
        ({"parts": ["C"], "calibration": Path("missing.json")}, "no calibration missing.json"),
        ({"parts": ["A"], "peers": Path("missing")}, "no folder"),
        ({"parts": ["A"]}, "needs a window of 2148 tokens, and tiny has 512"),
    ],
)
def test_wrong_options(model: Path, tmp_path: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_speed(_options(model, tmp_path, **more))
    assert not (tmp_path / "speed.json").exists()


def test_folders_that_can_not_be(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't write to"):
        run_speed(_options(model, tmp_path / "file", parts=["C"]))
    with pytest.raises(ModelError, match="does not exist"):
        run_speed(_options(tmp_path / "nowhere", tmp_path, parts=["C"], calibration=None))


@pytest.mark.parametrize("text", ["{", "[]", '{"parts": []}'])
def test_another_file_of_that_name(text: str, tmp_path: Path) -> None:
    (tmp_path / "speed.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="isn't a results file"):
        read_results(tmp_path / "speed.json")


def test_what_is_said_of_the_machine() -> None:
    committed = Path(__file__).parents[3] / "benchmarks" / "results" / "speed.json"
    before = json.loads(committed.read_text(encoding="utf-8"))["parts"]["A"]["machine"]
    assert list(described(2)) == list(before)
    assert described(2)["threads"] == 2
