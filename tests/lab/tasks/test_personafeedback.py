import json
from pathlib import Path
from typing import Any

import pytest

from penchant.errors import InputError
from penchant_lab.measures.leaks import leaks
from penchant_lab.tasks.personafeedback import TASK, items
from penchant_lab.tasks.registry import TASKS

PERSONA = {"Job": "baker", "Habits": {"morning": "up at three"}, "Likes": ["rye", "quiet"], "Pet": None}


def _case(number: int, **more: Any) -> dict[str, Any]:
    case = {
        "user_id": f"p{number % 2}",
        "persona": PERSONA,
        "query": f"How should I spend evening {number}?",
        "chosen": f"Go to bed early, number {number}.",
        "rejected": f"Dance until the morning, number {number}.",
    }
    return {name: value for name, value in (case | more).items() if value is not None}


def _labelled(number: int, **more: Any) -> dict[str, Any]:
    return _case(number, chosen=None, rejected=None, **more)


def _write(folder: Path, name: str, cases: list[Any]) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    lines = "\n".join(map(json.dumps, cases)) if name.endswith("l") else json.dumps(cases)
    (folder / name).write_text(lines, encoding="utf-8")
    return folder


def test_the_persona_is_the_history_and_the_answers_the_choices(tmp_path: Path) -> None:
    found = items(
        _write(tmp_path, "specific/easy.json", [_case(0, memory="Has a bad back.\n\nHates noise."), _case(2)])
    )
    assert [item.id for item in found] == ["specific/easy/0", "specific/easy/1"]
    first, second = found
    assert [record.text for record in second.history] == [
        "Job: baker",
        "Habits, morning: up at three",
        "Likes: rye",
        "Likes: quiet",
    ]
    assert [record.text for record in first.history][4:] == ["Has a bad back.", "Hates noise."]
    assert (first.user, first.category) == ("p0", "easy")
    assert first.request.query == "How should I spend evening 0?"
    assert first.answer == "Go to bed early, number 0."
    assert sorted(first.choices) == sorted([first.answer, "Dance until the morning, number 0."])


def test_one_persona_is_one_history(tmp_path: Path) -> None:
    found = items(_write(tmp_path, "easy.jsonl", [_case(number) for number in range(4)]))
    assert found[0].history is found[2].history
    assert found[0].user != found[1].user
    nameless = items(_write(tmp_path, "easy.jsonl", [_case(0, user_id=None), _case(1, user_id=None)]))
    assert nameless[0].history is nameless[1].history
    other = items(_write(tmp_path, "easy.jsonl", [_case(0, user_id=None, persona="A diver.\nLives by the sea.")]))
    assert other[0].user and other[0].user != nameless[0].user
    assert [record.text for record in other[0].history] == ["A diver.", "Lives by the sea."]


def test_the_level_is_a_field_or_the_name_of_a_file_or_folder(tmp_path: Path) -> None:
    _write(tmp_path, "a/hard/cases.jsonl", [_case(0), _case(1, difficulty="Medium")])
    _write(tmp_path, "b_medium.json", [_case(0)])
    _write(tmp_path, "c.json", [_case(0)])
    assert [item.category for item in items(tmp_path)] == ["hard", "medium", "medium", ""]
    assert [item.category for item in items(tmp_path / "b_medium.json")] == ["medium"]


@pytest.mark.parametrize(
    ("told", "right"),
    [
        ({"answers": ["Sleep.", "Dance."], "label": "A"}, "Sleep."),
        ({"responses": ["Sleep.", "Dance."], "label": "b"}, "Dance."),
        ({"choices": ["Sleep.", "Dance."], "answer": 1}, "Dance."),
        ({"response_a": "Sleep.", "response_b": "Dance.", "preference": 0}, "Sleep."),
        ({"response_a": "Sleep.", "response_b": "Dance.", "label": "B"}, "Dance."),
    ],
)
def test_labelled_answers(tmp_path: Path, told: dict[str, Any], right: str) -> None:
    (item,) = items(_write(tmp_path, "easy.json", [_labelled(0, **told)]))
    assert item.answer == right
    assert sorted(item.choices) == ["Dance.", "Sleep."]


def test_the_seed_draws_the_order_of_the_answers(tmp_path: Path) -> None:
    _write(tmp_path, "easy.jsonl", [_case(number) for number in range(60)])
    drawn = [[item.choices.index(item.answer) for item in items(tmp_path, seed)] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(15 < sum(places) < 45 for places in drawn)


def test_a_line_that_holds_the_answer_is_no_history(tmp_path: Path) -> None:
    said = "I always say: go to bed early, number 0."
    found = items(_write(tmp_path, "easy.json", [_case(0, memory=[said, "Sings."]), _case(2, memory=[said, "Sings."])]))
    assert [record.text for record in found[0].history][4:] == ["Sings."]
    assert [record.text for record in found[1].history][4:] == [said, "Sings."]
    assert found[0].user == found[1].user
    assert not any(map(leaks, found))


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no PersonaFeedback folder"):
        items(tmp_path)
    with pytest.raises(InputError, match="can't be read"):
        items(tmp_path / "easy.json")


def test_a_truncated_file_is_named_with_the_position(tmp_path: Path) -> None:
    for name, place in (("easy.json", "line 1 column"), ("easy.jsonl", r"line 2: invalid JSON")):
        _write(tmp_path, name, [_case(0), _case(1)])
        (tmp_path / name).write_text((tmp_path / name).read_text(encoding="utf-8")[:-9], encoding="utf-8")
        with pytest.raises(InputError, match=rf"{name}.*{place}"):
            items(tmp_path / name)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("text", "case 2: no object"),
        (_case(0, persona={}), "case 2: the persona is empty"),
        (_case(0, persona=None), "case 2: no field persona"),
        (_case(0, query=" "), "case 2: the query is ' '"),
        (_case(0, rejected=None), "case 2: no field rejected"),
        (_case(0, rejected="Go to bed early, number 0."), "case 2: both answers are the same"),
        (_case(0, rejected=7), "case 2: an answer is '7'"),
        (_labelled(0, answers=["a"], label="A"), "case 2: 1 answers; expected two"),
        (_labelled(0, answers=["a", "b", "c"], label="A"), "case 2: 3 answers; expected two"),
        (_labelled(0, answers="ab", label="A"), "case 2: no list of answers"),
        (_labelled(0, answers=["a", "b"], label="C"), "case 2: the label is 'C'"),
        (_labelled(0, answers=["a", "b"]), "case 2: no field label"),
        (_case(0, level="odd"), "case 2: the level is 'odd'; expected one of easy, medium, hard"),
    ],
)
def test_a_damaged_case_is_named(tmp_path: Path, case: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        items(_write(tmp_path, "easy.json", [_case(1), case]))


def test_the_task_is_registered() -> None:
    assert TASKS["personafeedback"] is TASK
    assert TASK.seeded and TASK.metrics == ("accuracy",) and TASK.benches == ("preference",)
