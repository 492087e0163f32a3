"""The speed benchmark as a whole, on a tiny model: parts are measured, kept, skipped and shown. No figure counts."""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from penchant.errors import InputError, ModelError
from penchant.inference.cached_rows import CachedRows
from penchant.inference.sites import Site
from penchant.inference.writing import slot_of
from penchant.lens.calibration import Calibration, save_calibration
from penchant.models.loading import load_model
from penchant.models.model_name import ModelName
from penchant_lab.reports.plots import growth as growth_plot
from penchant_lab.speed import growth, steering
from penchant_lab.speed import run as speed
from penchant_lab.speed.config import Save, SpeedConfig
from penchant_lab.speed.parts import PARTS
from penchant_lab.speed.report import markdown, read_results
from penchant_lab.speed.run import SpeedOptions, described, run_speed
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


@pytest.mark.slow
def test_a_conversation_that_grows(model: Path, tmp_path: Path) -> None:
    document = run_speed(_options(model, tmp_path, parts=["G"]))
    result = document["parts"]["G"]["result"]
    assert list(result["rows"]) == list(growth.MEMORIES)
    for name, row in result["rows"].items():
        assert [int(size) for size in row] == result["exchanges"]
        for entry in row.values():
            assert 0 < entry["tokens"] <= (256 if name == "full" else result["budget"])
            assert 0 < entry["seconds"] <= entry["worst"]
            assert entry["first_token"] > 0
    page = markdown(document)
    assert "## G. A conversation that grows" in page
    assert sum(line.startswith("| full: ") for line in page.splitlines()) == 3
    plot = (tmp_path / "speed-growth.svg").read_text(encoding="utf-8")
    assert plot.startswith('<svg role="img" aria-label="What a question costs as a conversation grows"')
    assert all(f">{name}</text>" in plot for name in growth.MEMORIES)
    result["rows"]["full"] = {}
    assert growth_plot(result).count("<path") < plot.count("<path")


def test_the_conversation_is_the_same_every_time_and_its_beginning_too() -> None:
    few, many = growth.grown(5), growth.grown(9)
    assert many[:5] == few
    assert [exchange.number for exchange in many] == list(range(9))
    assert not any("{" in exchange.user.text + (exchange.assistant or exchange.user).text for exchange in many)


def test_steering(model: Path, tmp_path: Path) -> None:
    document = run_speed(_options(model, tmp_path, parts=["F"]))
    result = document["parts"]["F"]["result"]
    assert result["sites"] == ["2.attention", "2.mlp"]
    for batch, entry in result["batches"].items():
        assert entry["vector_bytes_per_user"] == 2 * 64 * 2  # two sites of 64 numbers in bfloat16
        assert entry["vector_bytes"] == int(batch) * entry["vector_bytes_per_user"]
        for way in entry["ways"].values():
            assert way["tokens_per_second"] == pytest.approx(
                int(batch) * result["steps"] / statistics.median(way["seconds"])
            )
            assert len(way["seconds"]) == entry["rounds"]
        for name in ("distinct_over_shared", "shared_over_none", "distinct_over_none", "none_over_none"):
            assert 0 < entry[name]["low"] <= entry[name]["ratio"] <= entry[name]["high"]
        shared, distinct = (entry["ways"][way]["seconds"] for way in ("shared", "distinct"))
        ratios = [one / other for one, other in zip(shared, distinct, strict=True)]
        assert entry["distinct_over_shared"]["ratio"] == pytest.approx(statistics.median(ratios))
    assert "## F. Steering, distinct users in one batch" in markdown(document)


def test_ways_of_steering_are_what_they_are_called(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which rows are written to, in which passes; the cache is as it was after each."""
    loaded = load_model(model, device="cpu")
    seen: list[tuple[int, int]] = []
    read = steering._read

    def watched(cached: CachedRows, ids: Any) -> None:
        state: Any = slot_of(loaded.model.get_decoder(), "activations").current()
        rows = 0 if state is None else state.begin.shape[0]
        seen.append((rows, cached.cache.get_seq_length()))
        read(cached, ids)

    monkeypatch.setattr(steering, "_read", watched)
    steering._measured(loaded, [Site(1, "mlp")], 3, steering._Sizes((3,), 5, 2, 2))
    assert seen[0] == (0, 0)
    rounds = [seen[at : at + 8] for at in range(1, len(seen), 8)]
    assert [sorted(runs) for runs in rounds] == [sorted([(rows, at) for rows in (0, 0, 1, 3) for at in (5, 6)])] * 3
    assert rounds[0] != rounds[1]  # the ways take turns


def test_a_part_that_is_done_is_left_alone(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def part(name: str, *, fails: bool = False) -> Any:
        def measure(config: SpeedConfig, save: Save) -> None:
            ran.append(name)
            save({})
            if fails:
                raise KeyboardInterrupt
            save({})

        return measure

    parts = {"B": part("B"), "C": part("C", fails=True), "D": part("D")}
    monkeypatch.setattr(speed, "resolve_name", lambda name: parts[next(k for k, v in PARTS.items() if v == name)])
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
        ({"parts": ["A", "H"]}, "no part 'H': expected some of A, B, C, D, E, F, G"),
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


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (ModelName("m", device="cuda"), {}, "--device cuda: bench speed measures on the CPU"),
        (ModelName("m", adapter="a"), {}, "--adapter: part A hands"),
        (ModelName("m"), {"dtype": "float16"}, "--dtype float16: bench speed measures bfloat16 and float32"),
        (ModelName("m"), {"parts": ["H"]}, "no part 'H'"),
    ],
)
def test_what_cannot_be_measured_is_said_at_once(
    tmp_path: Path, model: ModelName, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run_speed(SpeedOptions(tmp_path, model=model, **options))
