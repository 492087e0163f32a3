"""The demo: its mechanics on a tiny model and small samples, and the whole of it on the embedded model."""

import json
from pathlib import Path

import pytest

from penchant.compression.budget import count_tokens
from penchant.demo import run
from penchant.demo.samples import SampleRequest
from penchant.history.records import History, Record
from penchant.models.loading import LoadedModel
from penchant.personalizer import Personalizer
from tests.commands import TEXTS, Invoke
from tests.index.cases import calibration_of, lens_of


def samples() -> list[tuple[History, tuple[SampleRequest, ...]]]:
    history = [Record(text, id=f"r{i}") for i, text in enumerate(TEXTS)]
    asked = (
        SampleRequest("Where do I walk?", ("sea",), ("r0",), True),
        SampleRequest("Is there a quux?", ("quux",), ("nowhere",), True),
        SampleRequest("Tell me a story.", (), (), False),
    )
    return [(History(history, "ann"), asked), (History(history[:4], "bob"), asked[:2])]


def take_small_samples() -> None:
    """For a process of its own."""
    run.sample_users = samples


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "sample_users", samples)


def test_each_request_is_answered_with_and_without(small: None) -> None:
    lens = lens_of()
    personalizer = Personalizer(lens.loaded, calibration=calibration_of(lens))
    outcomes = list(run.run_demo(personalizer, budget=60, max_tokens=4))
    assert [outcome.user for _, outcome in outcomes] == ["ann"] * 3 + ["bob"] * 2
    assert [history.user for history, _ in outcomes] == ["ann"] * 3 + ["bob"] * 2
    assert [outcome.cold is not None for _, outcome in outcomes] == [True, False, False, True, False]
    for history, outcome in outcomes:
        asked = outcome.request.query
        assert outcome.profile.tokens <= 60
        assert outcome.without == personalizer.ask(history, asked, knowledge="none", max_tokens=4).text
        assert outcome.answer == personalizer.ask(history, asked, budget=60, max_tokens=4).text
        kept = {segment.record_id for segment in outcome.profile.segments}
        assert outcome.evidence_kept == ("r0" in kept and asked == "Where do I walk?")
        assert outcome.warm > 0
    assert len(list(run.run_demo(personalizer, requests=1, max_tokens=1))) == 2


@pytest.mark.slow
def test_the_table_and_its_totals(
    small: None, penchant: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.html"
    ran = penchant("demo", "--model", "{model}", "--budget", "60", "--json", "--html", page)
    document = ran.document
    assert ran.err == ""
    assert "lighthouse" not in page.read_text(encoding="utf-8")  # the last request is bob's, who never wrote of it
    assert "three letters" in page.read_text(encoding="utf-8")
    rows, totals = document["requests"], document["totals"]
    assert [row["user"] for row in rows] == ["ann"] * 3 + ["bob"] * 2
    assert totals["factual"] == 4
    factual = [row for row in rows if row["factual"]]
    for key in ("right", "right_without"):
        assert totals[key] == sum(row[key] for row in factual)
    assert totals["evidence_kept"] == sum(row["evidence_kept"] for row in rows)
    colds = [row["seconds"]["cold"] for row in rows if row["seconds"]["cold"] is not None]
    assert totals["cold"] == pytest.approx(sum(colds) / 2)
    monkeypatch.setenv("COLUMNS", "160")
    human = penchant("demo", "--model", "{model}", "--budget", "60", "--requests", "1")
    assert (human.code, human.err) == (0, "")
    assert human.out.count("Where do I walk?") == 2
    assert "right without" in human.out


@pytest.mark.model
def test_the_whole_way_with_the_embedded_model(
    penchant: Invoke, smollm2: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request of each sample user, as `penchant demo --requests 1` answers it."""
    monkeypatch.setattr("penchant.marking.resources.load_model", lambda spec: smollm2 if spec == "smollm2" else None)
    ran = penchant("demo", "--requests", "1", "--json")
    document = ran.document
    assert ran.err == ""
    rows, totals = document["requests"], document["totals"]
    assert [row["user"] for row in rows] == ["ines", "tomas", "ruth"]
    for row in rows:
        assert row["tokens"] == count_tokens(smollm2.tokenizer, row["profile"])
        assert row["tokens"] <= row["history_tokens"] * 0.02
        assert row["ratio"] >= 50
        assert row["evidence_kept"]
        assert row["seconds"]["warm"] < row["seconds"]["cold"]
    assert totals["right"] == totals["factual"] == 3, json.dumps(rows, indent=1)
    assert totals["right_without"] == 0
