"""`penchant heads discover`, on small planted histories and a tiny model: the way, not the finding."""

import json
from pathlib import Path

import pytest

from penchant.index import discovery
from penchant.lens.calibration import calibration_for, read_calibration
from penchant.models.loading import load_model
from tests.commands import REQUEST, Home, Invoke, write_history

SMALL = ("heads", "discover", "--model", "{model}", "--histories", "2", "--records", "20")


@pytest.fixture(autouse=True)
def uncalibrated(home: Home) -> None:
    for path in (home.cache / "calibrations").iterdir():
        path.unlink()


@pytest.mark.slow
def test_discovered_then_used(penchant: Invoke, home: Home, tmp_path: Path) -> None:
    asked = ("--model", "{model}", "--request", REQUEST)
    history = write_history(tmp_path / "history.jsonl")
    refused = penchant("mark", "--history", history, *asked).reason()
    assert f"penchant heads discover --model {home.model}" in refused

    picture = tmp_path / "heads.png"
    ran = penchant(*SMALL, "--plot", picture, "--json")
    document = ran.document
    assert "hardly better than chance" in ran.err  # a random model has no retrieval heads
    assert document.keys() == {"calibration", "heads", "weights", "fusion", "scores", "plot"}
    assert Path(document["calibration"]).parent == home.cache / "calibrations"
    assert document["plot"] == str(picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    calibration = calibration_for(load_model(home.model), home.cache / "calibrations")
    assert [list(head) for head in calibration.heads] == document["heads"]
    assert list(calibration.weights) == document["weights"]
    assert set(document["fusion"]) >= {"attention+bm25"}

    marks = penchant("mark", "--history", history, *asked, "--json").document
    assert marks["heads"] == document["heads"]
    assert marks["calibration"] == calibration.name


@pytest.mark.slow
def test_a_second_discovery_replaces_the_first(penchant: Invoke, home: Home) -> None:
    first = penchant(*SMALL, "--seed", "1", "--max-layer", "1", "--json").document
    second = penchant(
        *SMALL, "--seed", "2", "--max-layer", "1", "--max-heads", "1", "--prefix", "Notes:", "--json"
    ).document
    assert first["heads"] != second["heads"]
    found = calibration_for(load_model(home.model), home.cache / "calibrations")
    assert [list(head) for head in found.heads] == second["heads"]
    assert found.prefix == "Notes:"
    assert len(list((home.cache / "calibrations").iterdir())) == 1  # of two, the older one might be found


@pytest.mark.slow
def test_the_same_seed_gives_the_same_file(penchant: Invoke, tmp_path: Path) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    for out in (one, two):
        ran = penchant(*SMALL, "--max-layer", "1", "--max-heads", "2", "--out", out)
        assert ran.code == 0
        assert "AUC together" in ran.err
        assert "AUC alone" in ran.out
    assert one.read_bytes() == two.read_bytes()
    calibration = read_calibration(one)
    assert len(calibration.heads) <= 2
    assert calibration.last_layer <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--plot", "{folder}/x.bmpx"), "expected a .png, .svg, .pdf file"),
        (("--data", "{folder}/none.json"), "none.json"),
        (("--data", "{file}"), "file.txt"),
        (("--records", "3"), "--records"),
        (("--max-layer", "-1"), "--max-layer"),
    ],
)
def test_bad_options_are_told_before_the_work(
    penchant: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, str], message: str
) -> None:
    (tmp_path / "file.txt").write_text("text")

    def worked(*_: object, **__: object) -> None:
        raise AssertionError("the work was begun")

    monkeypatch.setattr(discovery, "fit_weights", worked)
    name, value = options
    value = value.format(file=tmp_path / "file.txt", folder=tmp_path)
    assert message in penchant(*SMALL, name, value).reason()


def test_one_history_leaves_nothing_out(penchant: Invoke) -> None:
    ran = penchant(*SMALL[:5], "1", "--records", "20", "--json")
    document = ran.document
    assert "better than chance is unknown" in ran.err
    assert document["scores"]["auc_left_out"] is None
    assert set(document["scores"]["auc_fusion_left_out"].values()) == {None}


def test_labelled_data_are_picked_by_position(penchant: Invoke, tmp_path: Path) -> None:
    said = [{"speaker": "Ana", "dia_id": f"D1:{n}", "text": f"I sold the boat {n}."} for n in range(30)]
    talk = {"session_1_date_time": "1:56 pm on 8 May, 2023", "session_1": said}
    asked = [
        {"question": f"What about boat {n}?", "answer": "sold", "evidence": [f"D1:{n}"], "category": 1}
        for n in range(4)
    ]
    data = tmp_path / "locomo.json"
    data.write_text(
        json.dumps([{"sample_id": name, "conversation": talk, "qa": asked} for name in "xyz"]), encoding="utf-8"
    )
    discover = ("heads", "discover", "--model", "{model}", "--data", data, "--max-layer", "1")
    for wrong in ("3", "-1", "0,0", "", "1;2", "one"):
        assert "different numbers from 0 to 2" in penchant(*discover, "--conversations", wrong).reason()
    assert "no task 'lokomo': expected one of" in penchant(*discover, "--task", "lokomo").reason()
    ran = penchant(*discover, "--conversations", "2, 0", "--json")
    assert read_calibration(Path(ran.document["calibration"])).scores["source"] == "locomo.json, 2, 0"
