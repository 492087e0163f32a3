import json
from argparse import Namespace
from pathlib import Path

import pytest

from benchmarks.marking import arguments, main, run
from penchant.errors import InputError
from penchant.lens.calibration import Calibration, save_calibration
from penchant.models.loading import load_model
from tests.families import save_tiny


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model, its calibration, and two conversations of twelve turns with three questions each."""
    folder = tmp_path_factory.mktemp("marking")
    loaded = load_model(save_tiny("llama", folder / "model"), device="cpu")
    calibration = Calibration(loaded.name, loaded.fingerprint, ((1, 0), (2, 3)), (1.0, 1.0), prefix="So: ")
    save_calibration(calibration, folder / "calibration.json")
    things = ["kite", "lamp", "boat", "drum", "cake", "rope", "bell", "coat", "fork", "harp", "desk", "vase"]
    samples = []
    for name in "ab":
        turns = [
            {"speaker": "Ana", "dia_id": f"D1:{n}", "text": f"I bought a {thing} at the market."}
            for n, thing in enumerate(things, 1)
        ]
        qa = [
            {
                "question": f"Where is the {things[n - 1]} from?",
                "answer": "market",
                "evidence": [f"D1:{n}"],
                "category": 4,
            }
            for n in (2, 5, 9)
        ]
        conversation = {"session_1_date_time": "1:56 pm on 8 May, 2023", "session_1": turns}
        samples.append({"sample_id": name, "conversation": conversation, "qa": qa})
    (folder / "locomo.json").write_text(json.dumps(samples), encoding="utf-8")
    return folder


def _options(setting: Path, *more: str) -> Namespace:
    return arguments(
        [
            *("--data", str(setting), "--model", str(setting / "model"), "--device", "cpu"),
            *(
                "--calibration",
                str(setting / "calibration.json"),
                "--share",
                "0.1",
                "--out",
                str(setting / "out"),
                *more,
            ),
        ]
    )


def test_the_whole_way(setting: Path) -> None:
    options = _options(setting, "--markers", "recency,bm25,bm25+recency~0.2,attn-gs,attention", "--cap", "attn-gs=2")
    document = run(options)
    assert list(document["histories"]) == ["a", "b"]
    markers = document["markers"]
    assert {name: summary["questions"] for name, summary in markers.items()} == {
        **dict.fromkeys(["recency", "bm25", "bm25+recency~0.2", "attention"], 6),
        "attn-gs": 4,
    }
    assert markers["bm25"]["recall_at_budget"]["mean"] == 1.0  # the thing asked for stands in one turn only
    assert markers["recency"]["recall_at_budget"]["mean"] == 0.0
    total = document["histories"]["a"]["tokens"]
    assert markers["attention"]["cold"]["tokens_fed"] > total - 12
    assert markers["attention"]["warm"]["tokens_fed"] < 40
    assert markers["attn-gs"]["warm"]["tokens_fed"] > total
    assert [entry["of"] for entry in document["differences"]] == [["attention", "bm25"], ["attention", "attn-gs"]]
    assert document["differences"][1]["questions"] == 4
    assert len(document["measurements"]["attention"]) == 6


def test_results_name_no_folder_and_hold_no_text(setting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["--markers", "random,bm25", "--conversations", "1", "--limit", "2", "--name", "small"]
    monkeypatch.setattr("benchmarks.marking.arguments", lambda: _options(setting, *given))
    assert main() == 0
    written = (setting / "out" / "small.json").read_text(encoding="utf-8")
    document = json.loads(written)
    assert str(setting) not in written
    assert "market" not in written
    assert list(document["histories"]) == ["b"]
    assert document["histories"]["b"]["questions"] == 2
    assert "--conversations 1" in document["command"]
    assert "| bm25 | 2 |" in (setting / "out" / "small.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--markers", "bm26"], "no marker 'bm26'"),
        (["--markers", "bm25~much"], "expected numbers"),
        (["--markers", "bm25", "--conversations", "2"], "from 0 to 1"),
        (["--markers", "bm25", "--limit", "0"], "limit of 0"),
    ],
)
def test_wrong_options(setting: Path, given: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(_options(setting, *given))


def test_an_error_is_one_line(
    setting: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.marking.arguments", lambda: _options(setting, "--markers", "bm26"))
    assert main() == 2
    err = capsys.readouterr().err
    assert err.startswith("error: no marker 'bm26'")
    assert err.count("\n") == 1
