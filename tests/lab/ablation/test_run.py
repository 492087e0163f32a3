"""The ablation as a whole on a tiny model and three conversations made up here. No figure counts."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penchant.cli.main import run
from penchant.errors import InputError
from penchant.models.model_name import ModelName
from penchant_lab.ablation.axes import AXES, changes, settings
from penchant_lab.ablation.report import markdown, write_ablation
from penchant_lab.ablation.run import AblationOptions, run_ablation
from tests.families import save_tiny

THINGS = ("kite", "lamp", "boat", "drum", "cake", "rope", "bell", "coat", "fork", "harp", "desk", "vase")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, and four conversations of twelve turns with three questions each: three are for tuning."""
    folder = tmp_path_factory.mktemp("ablation")
    save_tiny("llama", folder / "model")
    samples = []
    for name in "abcd":
        turns = [
            {"speaker": "Ana", "dia_id": f"D1:{n}", "text": f"I bought a {thing} at the {name} market" + "!" * (n % 3)}
            for n, thing in enumerate(THINGS, 1)
        ]
        qa = [
            {"question": f"Where is the {THINGS[n - 1]} from?", "answer": "x", "evidence": [f"D1:{n}"], "category": 4}
            for n in (2, 5, 9)
        ]
        conversation = {"session_1_date_time": "1:56 pm on 8 May, 2023", "session_1": turns}
        samples.append({"sample_id": name, "conversation": conversation, "qa": qa})
    (folder / "locomo.json").write_text(json.dumps(samples), encoding="utf-8")
    return folder


def _options(folder: Path, **more: Any) -> AblationOptions:
    given = {
        "model": ModelName(str(folder / "model"), device="cpu", dtype="float32"),
        "limit": None,
        "costly": 2,
        **more,
    }
    return AblationOptions(folder, **given)


@pytest.fixture(scope="module")
def document(folder: Path) -> dict[str, Any]:
    saved: list[int] = []
    steps: list[tuple[int, int]] = []
    made = run_ablation(
        _options(
            folder,
            save=lambda document: saved.append(len(document["variants"])),
            progress=lambda what, done, total: steps.append((done, total)),
        )
    )
    assert saved == sorted(saved)
    assert saved[-1] == len(settings("one-at-a-time"))
    assert steps[-1][0] == steps[-1][1]
    return made


@pytest.mark.slow
def test_every_variant_beside_the_default(document: dict[str, Any]) -> None:
    assert [variant["changes"] for variant in document["variants"]] == [
        changes(one) for one in settings("one-at-a-time")
    ]
    default = document["variants"][0]
    assert default["name"] == "default"
    assert [history["name"] for history in document["histories"]] == ["a", "b", "c"]
    for variant in document["variants"]:
        costly = variant["changes"] == {"request": "joint"}
        assert variant["questions"] == (6 if costly else 9)
        values = variant["values"]["auc"]
        assert variant["auc"]["mean"] == pytest.approx(np.mean(values), abs=1e-3)
        if not costly:
            paired = np.mean(values) - np.mean(default["values"]["auc"])
            assert variant["difference"]["auc"]["mean"] == pytest.approx(paired, abs=1e-3)
    assert default["difference"]["auc"] == {"mean": 0, "low": 0, "high": 0}
    by_name = {variant["name"]: variant for variant in document["variants"]}
    assert by_name["request joint"]["tokens_fed"] > 10 * default["tokens_fed"]
    assert by_name["heads all"]["heads"] is None
    assert [len(heads) for heads in by_name["heads best"]["heads"]] == [1, 1, 1]
    assert all(int(name.partition(".")[0]) < 1 for heads in by_name["layers 1/3"]["heads"] for name in heads)
    # Blocks and joint are one pass here, and a budget of 2 % takes nothing in; the rest isn't all the same.
    assert len({json.dumps(variant["values"]) for variant in document["variants"]}) > 10


@pytest.mark.slow
def test_heads_alone(document: dict[str, Any]) -> None:
    auc, recall = (np.array(document["heads"][metric]) for metric in ("auc", "recall_at_budget"))
    assert auc.shape == recall.shape == (4, 4)
    assert ((auc >= 0) & (auc <= 1)).all()
    assert auc.std() > 0


@pytest.mark.slow
def test_the_scored_conversation_is_not_looked_at(folder: Path, tmp_path: Path) -> None:
    samples = json.loads((folder / "locomo.json").read_text(encoding="utf-8"))
    for question, turn in zip(samples[2]["qa"], (3, 7, 11), strict=True):
        question["evidence"] = [f"D1:{turn}"]
    (tmp_path / "locomo.json").write_text(json.dumps(samples), encoding="utf-8")
    axes = ["pooling", "heads"]
    before = run_ablation(_options(folder, axes=axes))
    options = _options(folder, axes=axes)
    after = run_ablation(replace(options, data=tmp_path))
    for old, new in zip(before["variants"], after["variants"], strict=True):
        if old["heads"] is not None:
            assert old["heads"][2] == new["heads"][2]  # chosen without the conversation that was relabelled
    assert any(old["heads"] != new["heads"] for old, new in zip(before["variants"], after["variants"], strict=True))


@pytest.mark.slow
def test_no_text_and_no_folder_is_written(document: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    paths = write_ablation(document, tmp_path)
    assert [path.name for path in paths] == ["ablation.json", "ablation.md", "ablation.svg", "ablation.png"]
    written = paths[0].read_text(encoding="utf-8")
    assert json.loads(written) == document
    for text in ("market", "Where is", "kite", str(folder)):
        assert text not in written
    page = paths[1].read_text(encoding="utf-8")
    assert page == markdown(document)
    assert page.count("\n| ") == len(document["variants"]) + 1
    assert paths[2].read_text(encoding="utf-8").count("stroke: #dc143c") >= 2 * 6  # six heads framed in two maps
    assert paths[3].read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)


@pytest.mark.slow
def test_what_differs_beyond_chance_is_bold(document: dict[str, Any]) -> None:
    changed = json.loads(json.dumps(document))
    changed["variants"][1]["difference"]["auc"] = {"mean": -0.2, "low": -0.3, "high": -0.1}
    changed["variants"][2]["difference"]["auc"] = {"mean": -0.2, "low": -0.3, "high": 0.1}
    lines = [line for line in markdown(changed).splitlines() if line.startswith("| ")][1:]
    assert "**-0.200 [-0.300, -0.100]**" in lines[1]
    assert "| -0.200 [-0.300, +0.100] |" in lines[2]


def test_wrong_options(folder: Path, tmp_path: Path) -> None:
    one = json.loads((folder / "locomo.json").read_text(encoding="utf-8"))[:1]
    (tmp_path / "locomo.json").write_text(json.dumps(one), encoding="utf-8")
    with pytest.raises(InputError, match="1 conversations: expected at least 2"):
        run_ablation(AblationOptions(tmp_path, model="nowhere"))
    with pytest.raises(InputError, match="no axis 'head'"):
        run_ablation(AblationOptions(folder, model="nowhere", axes=["head"]))


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    level = logging.getLogger().level

    def invoke(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["penchant", "bench", "ablate", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            run()
        return (int(left.value.code or 0), *capfd.readouterr())

    yield invoke
    logging.getLogger().setLevel(level)


@pytest.mark.slow
def test_the_command(command: Any, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    given = ("--data", folder, "--model", folder / "model", "--device", "cpu", "--out", out, "--axes", "pooling")
    code, stdout, stderr = command(*given, "--json")
    assert code == 0, stderr
    document = json.loads(stdout)
    assert document == json.loads((out / "ablation.json").read_text(encoding="utf-8"))
    assert [variant["name"] for variant in document["variants"]] == ["default", "pooling off"]
    assert "--axes pooling" in document["command"]
    assert f"--data {folder.name}" in document["command"]
    assert str(folder) not in document["command"]


def test_the_command_says_what_is_wrong_at_once(command: Any, folder: Path, tmp_path: Path) -> None:
    given = ("--data", folder, "--model", "nowhere", "--out", tmp_path)
    assert command(*given, "--axes", "head")[0::2] == (
        2,
        f"penchant: no axis 'head': expected some of {', '.join(AXES)}\n",
    )
    (tmp_path / "file").write_text("")
    code, _, stderr = command("--data", folder, "--model", "nowhere", "--out", tmp_path / "file")
    assert (code, stderr.count("\n")) == (2, 1)
    assert "can't write to" in stderr
