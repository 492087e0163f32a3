"""`penchant bench steer` on users made in code and a tiny model, and tasks that need no data."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from penchant_lab.methods import steered
from penchant_lab.tasks.registry import TASKS
from tests.commands import Home, Invoke

NAMES = "none,recency,population,ascent,caa,lofit,ascent@other,ascent@random,ascent+recency"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short answers, and few users to fit on; prompts of contrasts fit the tiny window."""
    monkeypatch.setitem(TASKS.loaded, "styles", replace(TASKS["styles"], max_new_tokens=3))
    short = partial(steered.Recipe, k=1, tries=1, max_new_tokens=8)
    for name, value in {"FIT_USERS": 3, "PAIRS": 3, "DONOR_WORDS": 3, "Recipe": short}.items():
        monkeypatch.setattr(steered, name, value)


@pytest.mark.slow
def test_steering_the_whole_way(penchant: Invoke, home: Home, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = ("bench", "steer", "--task", "styles", "--out", out, "--model", "{model}", "--methods", NAMES)
    few = ("--limit", "4", "--seeds", "0", "--budgets", "60")
    document = penchant(*given, *few, "--json").document
    assert json.loads((out / "results.json").read_text(encoding="utf-8")) == document
    assert document["benchmark"] == "steer"
    assert (document["task"]["name"], document["task"]["data"], document["task"]["items"]) == ("styles", "styles", 4)
    assert document["model"]["name"] == "tiny-llama"
    assert "--task styles" in document["command"] and "--data" not in document["command"]
    assert document["seeds"] == [0] and document["part"] == "test" and document["limit"] == 4
    assert [one["name"] for one in document["methods"]] == NAMES.split(",")
    stored = {one["name"]: one["stored_bytes"] for one in document["methods"]}
    assert stored["population"] == 0 < stored["ascent"] == stored["ascent+recency"]
    assert document["rows"]["count"] == 4 * len(NAMES.split(","))
    summary = document["summary"]
    assert summary["chosen"] == "ascent"
    cells = {cell["method"]: cell for cell in summary["cells"]}
    assert list(cells) == NAMES.split(",")
    assert {cell["items"] for cell in cells.values()} == {4} and {cell["errors"] for cell in cells.values()} == {0}
    assert {name for name, cell in cells.items() if cell["asked"]} == {"recency", "ascent+recency"}
    losses = {name: cell["values"]["loss"]["mean"] for name, cell in cells.items()}
    assert len(set(losses.values())) > 5  # what is written changes answers
    assert set(cells["ascent"]["values"]) >= {"loss", "rouge1", "rougeL", "meteor"}
    assert [one["of"] for one in summary["differences"] if one["of"][1] == "ascent@other"] == [
        ["ascent", "ascent@other"]
    ]
    assert {one["category"] for one in summary["categories"]} == {"terse", "dashes", "exclaiming", "two-modes"}
    for name in ("report.md", "report.html", "results.json"):
        text = (out / name).read_text(encoding="utf-8")
        assert "ascent@other" in text and str(tmp_path) not in text
    kept = sorted(path.name.partition("-")[0] for path in (home.cache / "bench").glob("*.safetensors"))
    assert kept == ["lofit", "setting", "setting"]
    again = penchant(*given, *few, "--json").document
    assert again["command"] == document["command"]  # nothing was left to do


@pytest.mark.slow
def test_users_of_a_part_that_is_fitted_on_say_so(penchant: Invoke, tmp_path: Path) -> None:
    given = ("bench", "steer", "--task", "styles", "--out", tmp_path / "o", "--model", "{model}", "--seeds", "0")
    ran = penchant(*given, "--part", "all", "--methods", "population", "--budgets", "20")
    assert ran.code == 1
    assert "no user of the tuning part is left" in (tmp_path / "o" / "rows.jsonl").read_text(encoding="utf-8")


def test_texts_of_made_up_users_need_no_data(penchant: Invoke, tmp_path: Path) -> None:
    given = ("--out", tmp_path / "o", "--model", "{model}", "--methods", "none,recency", "--limit", "3", "--json")
    document = penchant("bench", "title", "--task", "styles", *given).document
    assert (document["benchmark"], document["task"]["data"], document["rows"]["count"]) == ("title", "styles", 6)


@pytest.mark.parametrize("bench", ["title", "steer"])
def test_a_data_set_has_to_be_named(bench: str, penchant: Invoke, tmp_path: Path) -> None:
    given = ("bench", bench, "--task", "acl-titles", "--out", tmp_path / "o", "--model", "{model}")
    assert penchant(*given).reason() == "penchant: task acl-titles needs its data set: name it with --data\n"
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (("--methods", "ascent@own"), "no method 'ascent@own': expected some of none"),
        (("--methods", "lofit@random"), "no method 'lofit@random'"),
        (("--methods", "ascent+ascent"), "no method 'ascent+ascent'"),
        (("--held-out", "-1"), "--held-out"),
        (("--held-out", "200", "--task", "styles"), ""),  # users whose questions are given stay as they are
    ],
)
def test_bad_wishes(penchant: Invoke, tmp_path: Path, given: tuple[str, ...], reason: str) -> None:
    base = ("bench", "steer", "--task", "styles", "--out", tmp_path / "o", "--model", "{model}", "--limit", "1")
    if reason:
        ran = penchant(*base, *given)
        assert ran.code == 2 and reason in ran.err
        assert not (tmp_path / "o").exists()
    else:
        assert penchant(*base, *given, "--methods", "none", "--seeds", "0").code == 0
