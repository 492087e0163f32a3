import json
import re
from pathlib import Path
from typing import Any

import pytest

from penchant.errors import InputError
from penchant_lab.tasks.locomo import TASK, evidence_ids, load


def _conversation(**changes: Any) -> dict[str, Any]:
    turns = [
        {"speaker": s, "dia_id": f"D1:{n}", "text": t} for n, (s, t) in enumerate([("Ana", "Hi."), ("Ben", "Yo.")], 1)
    ]
    later = [{"speaker": "Ana", "dia_id": "D2:1", "text": "I sold the boat."}]
    sample: dict[str, Any] = {
        "sample_id": "c1",
        "conversation": {
            "session_1_date_time": "1:56 pm on 8 May, 2023",
            "session_1": turns,
            "session_2_date_time": "9:00 am on 9 May, 2023",
            "session_2": later,
        },
        "qa": [
            {"question": "What did Ana sell?", "answer": "her boat", "evidence": ["D2:1"], "category": 4},
            {"question": "How many greeted?", "answer": 2, "evidence": ["D1:1; D1:2", "D1:1"], "category": 1},
            {"question": "Is it said?", "answer": "no", "evidence": [], "category": 3},
            {"question": "Which turn?", "answer": "none", "evidence": ["D7:7", "D"], "category": 2},
            {"question": "Partly?", "answer": "yes", "evidence": ["D", "D2:01"], "category": 2},
            {"question": "Who flew?", "adversarial_answer": "Ana", "evidence": ["D1:1"], "category": 5},
        ],
    }
    return sample | changes


def _write(folder: Path, *samples: dict[str, Any]) -> Path:
    (folder / "locomo.json").write_text(json.dumps(samples), encoding="utf-8")
    return folder


def test_questions_with_valid_evidence_only(tmp_path: Path) -> None:
    (labelled,) = load(_write(tmp_path, _conversation()))
    assert labelled.history.user == "c1"
    assert [record.id for record in labelled.history] == ["D1:1", "D1:2", "D2:1"]
    assert [q.request.query for q in labelled.questions] == ["What did Ana sell?", "How many greeted?", "Partly?"]
    sold, greeted, partly = labelled.questions
    assert (sold.answer, sold.evidence, sold.category) == ("her boat", ("D2:1",), 4)
    assert (greeted.answer, greeted.evidence) == ("2", ("D1:1", "D1:2"))
    assert partly.evidence == ("D2:1",)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (["D1:3; D2:4"], ("D1:3", "D2:4")),
        (["D1:3, D2:4 D2:10", "D1:3"], ("D1:3", "D2:4", "D2:10")),
        (["D2:04"], ("D2:4",)),
        (["D2:100", "D:2:4", "D", ""], ()),
    ],
)
def test_evidence_as_it_is_written(entries: list[str], expected: tuple[str, ...]) -> None:
    assert evidence_ids(entries, {"D1:3", "D2:4", "D2:10"}) == expected


def test_order_of_the_file_and_the_file_itself(tmp_path: Path) -> None:
    folder = _write(tmp_path, _conversation(sample_id="z"), _conversation(sample_id="a"))
    assert [labelled.history.user for labelled in load(folder)] == ["z", "a"]
    assert len(load(folder / "locomo.json")) == 2


def test_the_task_gives_the_same_evidence(tmp_path: Path) -> None:
    folder = _write(tmp_path, *(_conversation(sample_id=name) for name in "xyz"))
    loaded, labelled = load(folder), TASK.labelled(folder)
    assert [one.history.user for one in labelled] == ["x", "y", "z"]
    for one, other in zip(labelled, loaded, strict=True):
        assert one.history.records == other.history.records
        assert [(q.request, q.answer, q.evidence) for q in one.questions] == [
            (q.request, q.answer, q.evidence) for q in other.questions
        ]


def test_without_evidence_there_is_nothing_to_label(tmp_path: Path) -> None:
    folder = _write(tmp_path, _conversation(qa=[]))
    with pytest.raises(InputError, match="task locomo has no labelled evidence"):
        TASK.labelled(folder)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="named 'c1'"):
        load(_write(tmp_path, _conversation(), _conversation()))
    with pytest.raises(InputError, match="no 'qa'"):
        load(_write(tmp_path, _conversation(qa=None)))
    with pytest.raises(InputError, match=re.escape("c1 question 1") + ".*'evidence'"):
        load(_write(tmp_path, _conversation(qa=[{"question": "What?", "answer": "x", "category": 4}])))


@pytest.mark.data
def test_the_development_data(shared_data: Path) -> None:
    conversations = load(shared_data / "locomo")
    assert [len(c.history) for c in conversations] == [419, 369, 663, 629, 680, 675]
    # 385 answerable questions in 0 to 2, two of which have no evidence; 199 + 178 + 123 in 3 to 5.
    assert [len(c.questions) for c in conversations] == [150, 81, 152, 199, 178, 123]
    for conversation in conversations:
        known = {record.id for record in conversation.history}
        for question in conversation.questions:
            assert question.category in (1, 2, 3, 4)
            assert known.issuperset(question.evidence)
            assert len(set(question.evidence)) == len(question.evidence)
