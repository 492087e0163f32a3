"""`penchant bench` on a small LoCoMo file and a tiny model: results, report, resuming, and bad input."""

import json
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from penchant_lab.bench.items import Item
from penchant_lab.methods import registry
from penchant_lab.methods.method import Method, Notes
from tests.commands import Home, Invoke, finished, process

THINGS = ("kite", "lamp", "boat", "drum", "cake", "rope", "bell", "coat", "fork", "harp", "desk", "vase")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Five conversations of twelve turns with three questions each; the last two are the test half."""
    samples = []
    for name in "abcde":
        turns = [
            {"speaker": "Ana", "dia_id": f"D1:{n}", "text": f"I bought a {thing} at the market."}
            for n, thing in enumerate(THINGS, 1)
        ]
        qa = [
            {
                "question": f"Where is the {THINGS[n - 1]} from?",
                "answer": "market",
                "evidence": [f"D1:{n}"],
                "category": 4,
            }
            for n in (2, 5, 9)
        ]
        conversation = {"session_1_date_time": "1:56 pm on 8 May, 2023", "session_1": turns}
        samples.append({"sample_id": name, "conversation": conversation, "qa": qa})
    (tmp_path / "locomo.json").write_text(json.dumps(samples), encoding="utf-8")
    return tmp_path


def compress(data: Path, out: Path, *more: object) -> tuple[object, ...]:
    given = ("--methods", "none,full,gold,random,bm25,attention", "--budgets", "40%")
    return "bench", "compress", "--data", data, "--out", out, "--model", "{model}", *given, *more


@pytest.mark.slow
def test_the_whole_way(penchant: Invoke, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    document = penchant(*compress(data, out, "--seeds", "0,1", "--versus", "attention", "--json")).document
    assert json.loads((out / "results.json").read_text(encoding="utf-8")) == document
    assert document["benchmark"] == "compress"
    assert document["task"]["items"] == 6
    assert document["task"]["users"] == 2
    cells = {cell["method"]: cell for cell in document["summary"]["cells"]}
    assert list(cells) == ["none", "full", "gold", "random", "bm25", "attention"]
    assert cells["bm25"]["values"]["recall"]["mean"] == 1.0  # the thing asked for stands in one turn only
    assert cells["gold"]["values"]["recall"]["mean"] == 1.0
    assert document["summary"]["chosen"] == "attention"
    report = (out / "report.md").read_text(encoding="utf-8")
    assert "bm25" in report
    assert (out / "report.html").read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html")
    for name in ("results.json", "report.md", "report.html"):
        written = (out / name).read_text(encoding="utf-8")
        assert str(tmp_path) not in written  # results are published
        assert "harp" not in written


@pytest.mark.slow
def test_an_interrupted_run_goes_on_and_more_methods_can_be_added(
    penchant: Invoke, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    few = ("bench", "compress", "--data", data, "--out", out, "--model", "{model}", "--budgets", "20%", "--methods")
    penchant(*few, "none,bm25", "--limit", "2", "--json")
    before = (out / "rows.jsonl").read_text(encoding="utf-8")
    document = penchant(*few, "none,bm25,recency", "--json").document
    after = (out / "rows.jsonl").read_text(encoding="utf-8")
    assert after.startswith(before)
    keys = [(r["method"], r["item"]) for r in map(json.loads, after.splitlines()[1:]) if "method" in r]
    assert len(keys) == len(set(keys)) == 18  # nothing was measured twice
    first, _, second = document["command"].partition(" && ")
    assert "--methods none,bm25 --limit 2" in first
    assert "--methods none,bm25,recency" in second
    assert penchant(*few, "none,bm25", "--json").document["command"] == document["command"]  # nothing was left to do
    assert {cell["method"]: cell["items"] for cell in document["summary"]["cells"]} == dict.fromkeys(
        ("none", "bm25", "recency"), 6
    )


@pytest.mark.slow
def test_a_killed_run_keeps_what_it_has(penchant: Invoke, home: Home, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [home.model if word == "{model}" else word for word in compress(data, out)]
    running = process(home, *words)
    while running.poll() is None:
        rows = out / "rows.jsonl"
        if rows.is_file() and rows.read_text(encoding="utf-8").count('"method"') >= 6:
            running.kill()
            break
        time.sleep(0.02)
    finished(running)
    kept = (out / "rows.jsonl").read_text(encoding="utf-8").count('"method"')
    assert kept >= 6
    document = penchant(*compress(data, out), "--json").document
    assert {cell["items"] for cell in document["summary"]["cells"]} == {6}


def test_marking_measures_evidence_alone(penchant: Invoke, data: Path, tmp_path: Path) -> None:
    given = ("bench", "mark", "--data", data, "--out", tmp_path / "out", "--model", "{model}", "--json")
    document = penchant(*given, "--methods", "recency,bm25,attention", "--budgets", "10%").document
    cells = {cell["method"]: cell for cell in document["summary"]["cells"]}
    assert cells["bm25"]["values"]["evidence_auc"]["mean"] == 1.0
    assert cells["bm25"]["values"]["recall"]["mean"] == 1.0
    assert cells["recency"]["values"]["recall"]["mean"] == 0.0
    assert cells["bm25"]["values"].get("loss") is None


def test_categories_choose_items(penchant: Invoke, data: Path, tmp_path: Path) -> None:
    file = data / "locomo.json"
    samples = json.loads(file.read_text(encoding="utf-8"))
    samples[-1]["qa"][1]["category"] = 1
    file.write_text(json.dumps(samples), encoding="utf-8")
    given = ("bench", "mark", "--data", data, "--out", tmp_path / "out", "--model", "{model}", "--json")
    document = penchant(*given, "--methods", "recency", "--categories", "1").document
    assert (document["task"]["items"], document["categories"]) == (1, "1")


def test_a_failed_item_ends_with_exit_code_one_and_a_report(
    penchant: Invoke, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def notes(self, item: Item, budget: int) -> Notes:
            if item.id == "d/1":
                raise RuntimeError("out of luck")
            return Notes(None)

        def stored_bytes(self) -> int:
            return 0

    broken = Method("none", lambda history, segments, seed: nullcontext(Broken()), "for tests", budgeted=False)
    monkeypatch.setitem(registry.METHODS, "none", lambda context: broken)
    out = tmp_path / "out"
    ran = penchant("bench", "compress", "--data", data, "--out", out, "--model", "{model}", "--methods", "none,bm25")
    assert ran.code == 1
    assert "1 rows failed" in ran.err.replace("\n", " ")
    assert (out / "report.md").is_file()
    assert '"error": "RuntimeError: out of luck"' in (out / "rows.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (("--methods", "bm26"), "no method 'bm26': expected some of none, full"),
        (("--methods", ""), "at least one name"),
        (("--methods", "none,bm25~much"), "expected numbers"),
        (("--task", "acl"), "no task 'acl' for bench compress: expected one of locomo"),
        (("--part", "half"), "--part 'half': expected one of tune, test, all"),
        (("--seeds", "a"), "whole numbers"),
        (("--categories", "fact"), "begins with fact: expected some of 4"),
        (("--cap", "bm25"), "expected NAME=N"),
        (("--budgets", "lots"), "lots"),
        (("--budgets", "5000"), "don't fit the window"),
        (("--storage", "int4"), "expected one of native, int8"),
        (("--model", "nowhere/at/all"), "nowhere"),
        (("--device", "cuda"), "cuda"),
        (("--peers", "nowhere"), "no folder"),
        (("--adapter", "nowhere"), "no adapter in nowhere"),
    ],
)
def test_bad_options_are_refused_before_any_work(
    penchant: Invoke, data: Path, tmp_path: Path, given: tuple[str, str], reason: str
) -> None:
    out = tmp_path / "out"
    base = ("bench", "compress", "--data", data, "--out", out, "--model", "{model}", "--methods", "none,bm25")
    ran = penchant(*base, *given)
    assert reason in ran.reason(ran.code)
    assert ran.code in (1, 2)
    assert not (out / "results.json").exists()


def test_a_bench_of_several_tasks_asks_which(penchant: Invoke, data: Path, tmp_path: Path) -> None:
    given = ("bench", "rating", "--data", data, "--out", tmp_path / "o", "--model", "{model}")
    assert "--task: one of lamp3, movielens-like, movielens-rating" in penchant(*given).reason()
    assert "no task 'locomo' for bench rating" in penchant(*given, "--task", "locomo").reason()


def test_bad_data_is_named(penchant: Invoke, data: Path, tmp_path: Path) -> None:
    def reason(folder: Path) -> str:
        return penchant("bench", "compress", "--data", folder, "--out", tmp_path / "o", "--model", "{model}").reason()

    assert "nowhere" in reason(tmp_path / "nowhere")
    text = (data / "locomo.json").read_text(encoding="utf-8")
    (data / "locomo.json").write_text(text[: len(text) // 2], encoding="utf-8")
    assert "locomo.json" in reason(data)


def test_another_setting_in_the_folder_is_refused(penchant: Invoke, data: Path, tmp_path: Path) -> None:
    given = ("bench", "compress", "--data", data, "--out", tmp_path / "o", "--model", "{model}", "--methods", "none")
    assert penchant(*given).code == 0
    assert "another data, part" in penchant(*given, "--part", "tune").reason()
    assert penchant(*given, "--part", "tune", "--fresh").code == 0


def test_answers_are_as_long_as_asked(penchant: Invoke, data: Path, tmp_path: Path) -> None:
    given = ("bench", "compress", "--data", data, "--out", tmp_path / "o", "--model", "{model}", "--methods", "none")
    document = penchant(*given, "--max-tokens", "2", "--json").document
    assert "--max-tokens 2" in document["command"]
    assert "max_tokens" in penchant(*given, "--max-tokens", "3").reason()
    other = ("bench", "mark", "--data", data, "--out", tmp_path / "m", "--model", "{model}", "--max-tokens", "3")
    assert "leave out --max-tokens" in penchant(*other).reason()
