"""`penchant steer` and `ask --steer`: on a tiny model, and once the whole way with the embedded one."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penchant.history.jsonl import to_line
from penchant.models.loading import LoadedModel
from penchant.steering.methods.likelihood_gradient import LIKELIHOOD_GRADIENT
from penchant.steering.methods.registry import VECTOR_METHODS
from penchant.store import Store
from penchant.store.erasure.lineage import source_of
from penchant_lab.tasks.styles import TASK_WORDS, items
from tests.commands import REQUEST, Home, Invoke, write_history
from tests.steering.people import record

TINY = ("--model", "{model}")
ASK = (*TINY, "--request", REQUEST, "--no-profile", "--max-tokens", "4")
VECTOR = ("steer", "export", *TINY, "--request", REQUEST)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    few = replace(
        LIKELIHOOD_GRADIENT, aggregations=LIKELIHOOD_GRADIENT.aggregations[:2], strengths=(0.06, 0.12), layers=(0.6,)
    )
    monkeypatch.setitem(VECTOR_METHODS.loaded, "ascent", few)


@pytest.fixture
def stored(home: Home) -> Home:
    with Store(home.store) as store:
        for user in ("ann", "bob", "cat"):
            store.add(user, [record(user, number) for number in range(4)])
    return home


def test_fit_show_ask(penchant: Invoke, stored: Home, tmp_path: Path) -> None:
    picture = tmp_path / "effects.png"
    ran = penchant("steer", "fit", "--user", "ann", *TINY, "--pairs", 4, "--plot", picture, "--json")
    document = ran.document
    assert ran.err == ""
    assert (document["method"], document["shared"], document["users"], document["samples"]) == ("ascent", True, 2, 4)
    assert document["bytes"] > 1000
    assert document["level"] in {"own", "population", "none"}
    assert picture.read_bytes().startswith(b"\x89PNG")
    again = penchant("steer", "fit", "--user", "ann", *TINY)
    assert "4 (0 read now)" in again.out
    assert "written for this user" in again.out
    shown = penchant("steer", "show", "--user", "ann", "--json").document
    (one,) = shown["steering"]
    assert (one["method"], one["model"], one["rows"], one["bytes"]) == ("ascent", "tiny-llama", 4, document["bytes"])
    assert (one["level"], one["setting"], shown["feedback"]) == (document["level"], True, 0)
    assert "ascent" in penchant("steer", "show", "--user", "ann").out
    steering = penchant("ask", "--user", "ann", *ASK, "--steer", "ascent", "--json").document["steering"]
    assert steering.keys() == {"method", "level", "sites", "scope", "strength", "norms", "terms", "reason"}
    assert (steering["method"], steering["level"]) == ("ascent", document["level"])
    assert "steering: ascent" in penchant("ask", "--user", "ann", *ASK, "--steer", "ascent").err
    emphasis = ("--steer", "emphasis", "--marker", "bm25", "--budget", "60", "--max-tokens", "3", "--json")
    document = penchant("ask", "--user", "ann", *TINY, "--request", "Where is the key?", *emphasis).document
    assert document["steering"]["level"] == "emphasis"
    with Store(stored.store) as store:
        store.forget("bob")
    assert penchant("steer", "show", "--user", "ann", "--json").document["steering"][0]["setting"] is False


def test_a_history_file(penchant: Invoke, home: Home, tmp_path: Path) -> None:
    path = tmp_path / "ann.jsonl"
    path.write_text("".join(f"{to_line(record('ann', number))}\n" for number in range(4)), encoding="utf-8")
    document = penchant("steer", "fit", "--history", path, *TINY, "--json").document
    assert (document["shared"], document["samples"]) == (False, 4)
    assert (home.cache / "steering").is_dir()
    assert not home.store.exists()
    answer = penchant("ask", "--history", path, *ASK, "--steer", "ascent", "--json").document
    assert answer["steering"]["level"] == document["level"]


def test_other_kinds(penchant: Invoke, stored: Home) -> None:
    kinds = ("--similarity", "bm25", "--half-life", "30", "--storage", "low-rank")
    document = penchant("steer", "fit", "--user", "ann", *TINY, *kinds, "--json").document
    assert (document["similarity"], document["half_life"], document["storage"]) == ("bm25", 30, "low-rank")
    (one,) = penchant("steer", "show", "--user", "ann", "--json").document["steering"]
    told = (one["similarity"], one["half_life"], one["storage"], one["bytes"])
    assert told == ("bm25", 30, "low-rank", document["bytes"])
    assert "low-rank" in penchant("steer", "show", "--user", "ann").out
    shown = penchant("steer", "fit", "--user", "ann", *TINY, "--storage", "low-rank").out
    assert "words (BM25)" in shown and "30 days" in shown and "(0 read now)" in shown
    asked = ("ask", "--user", "ann", *TINY, "--no-profile", "--max-tokens", "2", "--steer", "ascent", "--json")
    steering = penchant(*asked, "--request", "Where is the key?").document["steering"]
    assert steering["level"] == document["level"]
    wide = penchant("steer", "fit", "--user", "ann", *TINY, "--json").document
    assert (wide["similarity"], wide["bytes"] > document["bytes"], wide["fitted"]) == ("bm25", True, False)
    refused = penchant("steer", "fit", "--user", "ann", *TINY, "--similarity", "hidden").reason()
    assert "has similarity bm25, not hidden" in refused and "--refit" in refused


def test_feedback(penchant: Invoke, stored: Home, tmp_path: Path) -> None:
    file = tmp_path / "thumbs.jsonl"
    file.write_text(json.dumps({"query": "Shall we?", "up": "OK. DONE.", "down": "I'd love to."}) + "\n")
    given = ("steer", "feedback", "--user", "ann", file)
    assert penchant(*given, "--json").document == {"user": "ann", "added": 1, "unchanged": 0}
    assert penchant(*given).out == "0 added, 1 already there\n"
    assert penchant("steer", "show", "--user", "ann", "--json").document["feedback"] == 1
    assert penchant("steer", "fit", "--user", "ann", *TINY, "--json").document["samples"] == 5
    assert "no user 'eve'" in penchant("steer", "feedback", "--user", "eve", file).reason()
    file.write_text("{}\n")
    assert "thumbs.jsonl line 1" in penchant(*given).reason()


def test_export_and_back(penchant: Invoke, stored: Home, tmp_path: Path) -> None:
    out = tmp_path / "vector.safetensors"
    given = (*VECTOR, "--user", "ann", "--format", "safetensors", "--out", out)
    assert "penchant steer fit --user ann" in penchant(*given).reason()
    level = penchant("steer", "fit", "--user", "ann", *TINY, "--json").document["level"]
    assert level != "none"
    document = penchant(*given, "--json").document
    assert (document["path"], document["notes"], document["level"]) == (str(out), [], level)
    asked = ("ask", "--user", "bob", *ASK, "--steer-file", out, "--json")
    steering = penchant(*asked).document["steering"]
    assert (steering["level"], len(steering["sites"])) == ("given", 1)
    control = tmp_path / "vector.gguf"
    refused = penchant(*VECTOR, "--user", "ann", "--format", "gguf", "--out", control)
    notes = penchant(*VECTOR, "--user", "ann", "--format", "gguf", "--out", control, "--approximate", "--json").document
    assert control.is_file() and (refused.code == 0 or notes["notes"])


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("steer", "fit", *TINY), "exactly one of --user ID"),
        (("steer", "fit", "--user", "eve", *TINY), "no user 'eve'"),
        (("steer", "fit", "--user", "ann", *TINY, "--method", "luck"), "no steering method 'luck'"),
        (("steer", "fit", "--user", "ann", *TINY, "--method", "fints-prompt"), "mixes several records"),
        (("steer", "fit", "--user", "ann", *TINY, "--plot", "x.txt"), "x.txt"),
        (("steer", "fit", "--user", "ann", *TINY, "--half-life", "0"), "half_life is 0"),
        (("steer", "fit", "--user", "ann", *TINY, "--half-life", "nan"), "half_life is nan"),
        (("steer", "fit", "--user", "ann", *TINY, "--similarity", "luck"), "luck"),
        (("steer", "fit", "--user", "ann", *TINY, "--storage", "float8"), "float8"),
        (("steer", "show", "--user", "eve"), "no user 'eve'"),
        (("ask", "--user", "ann", *ASK, "--steer", "ascent"), "penchant steer fit --user ann"),
        (("ask", "--user", "ann", *ASK, "--steer", "luck"), "no steering method 'luck'"),
        (("ask", "--user", "ann", *ASK, "--steer", "emphasis"), "emphasis needs a profile to emphasise"),
        (("ask", "--user", "ann", *ASK, "--steer", "ascent", "--steer-file", "x.gguf"), "exclude each other"),
        (("ask", "--user", "ann", *ASK, "--steer-file", "gone.safetensors"), "gone.safetensors"),
        ((*VECTOR, "--user", "ann", "--format", "luck", "--out", "x"), "penchant steer fit --user ann"),
    ],
)
def test_bad_input_is_one_line(penchant: Invoke, stored: Home, arguments: tuple[Any, ...], reason: str) -> None:
    assert reason in penchant(*arguments).reason()


def test_a_history_without_replies(penchant: Invoke, tmp_path: Path) -> None:
    path = write_history(tmp_path / "history.jsonl")
    assert "none of the 6 records" in penchant("steer", "fit", "--history", path, *TINY).reason()


@pytest.mark.model
def test_the_whole_way(
    smollm2: LoadedModel, penchant: Invoke, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users of two styles; one of them is steered towards her own, and then forgotten."""
    monkeypatch.setattr("penchant.marking.resources.load_model", lambda spec: smollm2)
    monkeypatch.setattr("penchant.steering.fit.search.BASES", (0.1,))
    one = replace(VECTOR_METHODS["ascent"], aggregations=LIKELIHOOD_GRADIENT.aggregations[:1])
    monkeypatch.setitem(VECTOR_METHODS.loaded, "ascent", one)
    made = {item.user: item for item in items()}
    for user in ("terse-0", "terse-1", "polite-0"):
        path = tmp_path / f"{user}.jsonl"
        lines = [to_line(one) for one in made[user].history.records[:4]]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        assert penchant("import", "jsonl", path, "--user", user, "--json").document["added"] == 4
    report = penchant("steer", "fit", "--user", "terse-0", "--task", TASK_WORDS, "--json").document
    assert (report["users"], report["samples"], report["level"]) == (2, 4, "own"), report
    assert report["own"] > 0.1
    asked = ("--user", "terse-0", "--task", TASK_WORDS, "--no-profile", "--max-tokens", "12", "--json")
    request = made["terse-0"].request.query
    answer = penchant("ask", *asked, "--request", request, "--steer", "ascent").document
    assert answer["steering"]["level"] == "own"
    assert all(0 < share <= 1.0001 for share in answer["steering"]["norms"].values())
    assert {term["record"] for term in answer["steering"]["terms"]} <= {f"terse-0-0{i}" for i in range(4)}
    assert answer["answer"] != penchant("ask", *asked, "--request", request).document["answer"]
    second = penchant("steer", "fit", "--user", "terse-1", "--task", TASK_WORDS, "--pairs", 2, "--json").document
    assert second["fitted"] is False
    for user in ("terse-0", "terse-1"):
        assert penchant("users", "forget", user, "--yes", "--json").code == 0
    assert not list((home.store / "shared").glob("*"))
    assert not list((home.store / "banks").glob("*/*"))
    needles = [source_of(user).user.encode() for user in ("terse-0", "terse-1")]
    needles += [(one.reply or "").encode() for one in made["terse-0"].history.records[:4]]
    for file in home.store.rglob("*"):
        assert not (file.is_file() and any(needle in file.read_bytes() for needle in needles)), file
