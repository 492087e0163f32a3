"""The measurement of the first hour: its data, its checks, and on the embedded model the script itself."""

import json

import pytest

from penchant.history.dialogue import Instruction
from penchant.models.loading import LoadedModel
from penchant_lab.first_hour.__main__ import FRAMINGS, HERE, first_hour, kept, measure, table
from tests.families import tiny


def test_dialogues_and_script_are_complete() -> None:
    dialogues = [json.loads(line) for line in (HERE / "dialogues.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(dialogues) == 20
    assert all(len(one["facts"]) == len(one["asks"]) == 3 for one in dialogues)
    assert all(("kept" in one) == bool(one["instruction"]) for one in dialogues)
    turns = [turn for some in json.loads((HERE / "script.json").read_text())["conversations"] for turn in some]
    assert (len(turns), sum("fact" in turn for turn in turns)) == (20, 10)


def test_framings_differ_in_person_and_place() -> None:
    given = (Instruction("i", "Be brief."),)
    before, now = (framing(["My dog is called Rex."], given, "What is my dog called?") for framing in FRAMINGS.values())
    assert "My dog is called Rex." in before[0]["content"] and "1. Be brief." in before[0]["content"]
    assert now[-1]["content"] == (
        "Notes about the user:\nThe user's dog is called Rex.\n\nWhat is my dog called?\n\nBe brief."
    )


def test_what_is_counted() -> None:
    assert kept("short", "In Bergen.") and not kept("short", "In Bergen. It rains there.")
    assert kept("no list", "Tea.") and not kept("no list", "- Tea")
    assert kept("no !", "Tea.") and not kept("no !", "Tea!")
    told = {"facts": ["I have a dog."], "instruction": None, "asks": [["Have I a dog?", "."], ["A dog?", "never said"]]}
    found = measure(tiny("llama"), FRAMINGS["Notes about the user (now)"], [told])
    assert (found["facts"], found["answers"], found["instructed"]) == (2, 3, 0)
    assert found["alone"] <= found["right"] <= 1


@pytest.mark.model
def test_the_first_hour_on_the_embedded_model(smollm2: LoadedModel) -> None:
    # In float32: in bfloat16 processors round differently, and each answer leads to others. The committed result of
    # `penchant_lab.first_hour` is in bfloat16.
    turns = first_hour(smollm2)
    asked = [one for one in turns if one["right"] is not None]
    assert sum(one["right"] for one in asked) >= 9
    assert all(one["finish"] == "stop" for one in turns)
    assert not any(one["as_the_user"] for one in turns)
    half = dict.fromkeys(("facts", "right", "alone", "addressed", "answers", "as_the_user", "instructed", "kept"), 0)
    page = table(
        {"model": "smollm2", "dtype": "float32", "framings": {"now": {"tune": half, "test": half}}, "first_hour": turns}
    )
    assert all(one["user"].split()[0] in page for one in turns)
