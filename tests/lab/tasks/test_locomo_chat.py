"""LoCoMo as dialogues: sides, joined turns, evidence that moved along."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from penchant_lab.bench.dialogues import turns_of, whole
from penchant_lab.tasks.locomo_chat import TASK, items


def _write(folder: Path, count: int = 1) -> Path:
    said = [("Ana", "Hi."), ("Ben", "Yo."), ("Ben", "I bought a boat."), ("Ana", "Nice."), ("Ana", "I have a kite.")]
    turns = [{"speaker": s, "dia_id": f"D1:{n}", "text": t} for n, (s, t) in enumerate(said, 1)]
    samples = [
        {
            "sample_id": f"c{number}",
            "conversation": {
                "session_1_date_time": "1:56 pm on 8 May, 2023",
                "session_1": turns,
                "session_2_date_time": "9:00 am on 9 May, 2023",
                "session_2": [{"speaker": "Ana", "dia_id": "D2:1", "text": "I sold the kite."}],
            },
            "qa": [
                {"question": "What did Ana sell?", "answer": "a kite", "evidence": ["D2:1", "D1:5"], "category": 4},
                {"question": "What did Ben buy?", "answer": "a boat", "evidence": ["D1:3"], "category": 1},
            ],
        }
        for number in range(count)
    ]
    (folder / "locomo.json").write_text(json.dumps(samples), encoding="utf-8")
    return folder


def test_who_speaks_first_is_the_user_and_turns_of_one_side_are_joined(tmp_path: Path) -> None:
    sold, bought = items(_write(tmp_path))
    assert sold.history is bought.history
    assert [(turn.number, turn.role, turn.text) for turn in turns_of(sold.history)] == [
        (0, "user", "Ana: Hi."),
        (1, "assistant", "Ben: Yo.\nBen: I bought a boat."),
        (2, "user", "Ana: Nice.\nAna: I have a kite.\nAna: I sold the kite."),
    ]
    assert [record.id for record in sold.history] == ["t0", "t1", "t2"]
    assert sold.history[2].when is not None
    assert sold.history[2].when.day == 8
    assert (sold.evidence, bought.evidence) == (("t2",), ("t1",))
    assert [message["role"] for message in whole(sold)] == ["user", "assistant", "user", "user"]
    assert whole(sold)[-1]["content"] == "What did Ana sell?"


def test_the_first_three_conversations_are_for_tuning(tmp_path: Path) -> None:
    _write(tmp_path, 5)
    assert {item.user for item in TASK.items(tmp_path, "test")} == {"c3", "c4"}


@pytest.mark.data
def test_the_real_conversations(shared_data: Path) -> None:
    made = TASK.items(shared_data / "locomo", "test")
    assert len({item.user for item in made}) == 3
    for item in made[::25]:
        sides = [turn.role for turn in turns_of(item.history)]
        assert all(a != b for a, b in pairwise(sides))
        assert {record.id for record in item.history} >= set(item.evidence)
