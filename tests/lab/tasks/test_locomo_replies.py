"""LoCoMo as writing: whose reply, to what, and that nothing gives it away."""

import json
from pathlib import Path

import pytest

from penchant.errors import InputError
from penchant_lab.measures.held_out import newest_held_out
from penchant_lab.measures.leaks import leaks
from penchant_lab.tasks.locomo_replies import FEWEST_EARLIER, TASK


def _write(folder: Path, sessions: list[list[tuple[str, str]]], count: int = 1) -> Path:
    made = {}
    for number, said in enumerate(sessions, 1):
        made[f"session_{number}_date_time"] = f"1:56 pm on {number} May, 2023"
        made[f"session_{number}"] = [
            {"speaker": speaker, "dia_id": f"D{number}:{place}", "text": text}
            for place, (speaker, text) in enumerate(said, 1)
        ]
    samples = [{"sample_id": f"c{n}", "conversation": made, "qa": []} for n in range(count)]
    (folder / "locomo.json").write_text(json.dumps(samples), encoding="utf-8")
    return folder


def _chat(turns: int) -> list[tuple[str, str]]:
    return [("Ana" if place % 2 == 0 else "Ben", f"Word{place} and thing{place}.") for place in range(turns)]


def test_each_of_the_two_is_asked_for_the_last_reply(tmp_path: Path) -> None:
    ben, ana = TASK.read(_write(tmp_path, [_chat(50)]), 0)
    assert (ben.user, ana.user) == ("c0/Ben", "c0/Ana")
    assert (ben.request.query, ben.answer) == ("Word48 and thing48.", "Word49 and thing49.")
    assert (ana.request.query, ana.answer) == ("Word47 and thing47.", "Word48 and thing48.")
    assert [(one.text, one.reply) for one in ben.history][:2] == [
        ("Word0 and thing0.", "Word1 and thing1."),
        ("Word2 and thing2.", "Word3 and thing3."),
    ]
    assert len(ben.history) == 24
    assert [leaks(item) for item in (ben, ana)] == [[], []]


def test_turns_in_a_row_are_one_and_a_session_begins_anew(tmp_path: Path) -> None:
    row = [("Ana", "Hi there."), ("Ben", "Oh hello."), ("Ben", "I bought a boat."), ("Ana", "How nice.")]
    items = TASK.read(_write(tmp_path, [row, [("Ben", "A new day."), ("Ana", "Indeed so.")], _chat(60)]), 0)
    ben = next(item for item in items if item.user == "c0/Ben")
    ana = next(item for item in items if item.user == "c0/Ana")
    assert (ben.history[0].text, ben.history[0].reply) == ("Hi there.", "Oh hello. I bought a boat.")
    assert (ana.history[0].text, ana.history[0].reply) == ("Oh hello. I bought a boat.", "How nice.")
    assert (ana.history[1].text, ana.history[1].reply) == ("A new day.", "Indeed so.")
    assert all(one.text != "How nice." for one in ben.history)


def test_few_replies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nobody gave"):
        TASK.read(_write(tmp_path, [_chat(2 * FEWEST_EARLIER)]), 0)


def test_people_of_one_conversation_stay_together(tmp_path: Path) -> None:
    _write(tmp_path, [_chat(50)], 5)
    assert {item.user for item in TASK.items(tmp_path, "test")} == {"c3/Ana", "c3/Ben", "c4/Ana", "c4/Ben"}
    assert {item.user for item in TASK.items(tmp_path, "tune")} == {
        f"c{n}/{who}" for n in range(3) for who in ("Ana", "Ben")
    }


@pytest.mark.data
def test_nothing_of_the_real_replies_is_given_away(shared_data: Path) -> None:
    made = newest_held_out(TASK.items(shared_data / "locomo", "test"), 4)
    assert len({item.user for item in made}) == 6
    assert [line for item in made for line in leaks(item)] == []
