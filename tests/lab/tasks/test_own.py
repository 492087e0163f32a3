"""One's own questions, from a file."""

import json
from pathlib import Path
from typing import Any

import pytest

from penchant.errors import InputError
from penchant_lab.tasks.registry import find_task

RECORD = {"user": "kim", "id": "r1", "text": "The tuner is Ms Lind.", "when": "2024-03-01"}
QUESTION = {"user": "kim", "question": "Who tunes?", "answer": "Ms Lind", "evidence": ["r1"]}


def written(path: Path, *lines: dict[str, Any] | str) -> Path:
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines))
    return path


def test_records_and_questions_in_any_order(tmp_path: Path) -> None:
    later = {"user": "kim", "id": "r0", "text": "A walk.", "when": "2023-01-01"}
    other = {"user": "noor", "text": "A boat."}
    named = {**QUESTION, "task": "Name one.", "references": ["Lind"], "category": "names"}
    path = written(tmp_path / "mine.jsonl", QUESTION, RECORD, later, other, named)
    for bench in ("mark", "compress"):
        first, second = find_task("own", bench).items(path)  # type: ignore[arg-type]
        assert first.history is second.history and [one.id for one in first.history] == ["r0", "r1"]
        assert (first.id, first.user, first.request.query) == ("mine.jsonl line 1", "kim", "Who tunes?")
        assert (first.answer, first.evidence, first.category) == ("Ms Lind", ("r1",), "")
        assert (second.request.task, second.references, second.category) == ("Name one.", ("Lind",), "names")


def test_without_a_user_all_belongs_to_one(tmp_path: Path) -> None:
    path = written(
        tmp_path / "mine.jsonl", {"text": "The tuner is Ms Lind."}, {"question": "Who?", "answer": "Ms Lind"}
    )
    (item,) = find_task("own", "compress").items(path)
    assert len(item.history) == 1 and not item.evidence


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "mine.jsonl has no question"),
        ([RECORD], "mine.jsonl has no question: expected lines such as a record"),
        ([RECORD, {**QUESTION, "txt": "x"}], "line 2: invalid line .*unknown key 'txt'"),
        ([RECORD, "{"], "line 2: invalid JSON"),
        ([RECORD, {**QUESTION, "answer": " "}], "line 2: invalid line .a question without an answer"),
        ([RECORD, {"user": "kim", "question": " ", "answer": "x"}], "line 2: .*the request is empty"),
        ([RECORD, {**QUESTION, "text": "x"}], "line 2: .*it has a question, and 'text', which is of a record"),
        ([{**RECORD, "answer": "x"}], "line 1: .*it has 'answer', but no question"),
        ([{"user": "kim"}], "line 1: .*a record has no text"),
        ([RECORD, RECORD], "line 2: the record 'r1' of 'kim' comes twice"),
        ([RECORD, {**QUESTION, "evidence": ["r9"]}], "line 2: the evidence 'r9' is no id of a record of 'kim'"),
        ([RECORD, {**QUESTION, "user": "noor"}], "line 2: no records of 'noor' to answer from"),
        ([RECORD, {**QUESTION, "evidence": "r1"}], "line 2: invalid line .evidence"),
    ],
)
def test_bad_files(tmp_path: Path, lines: list[dict[str, Any] | str], message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        find_task("own", "compress").items(written(tmp_path / "mine.jsonl", *lines))
    assert "\n" not in str(raised.value)


def test_parts(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.jsonl", RECORD, QUESTION)
    task = find_task("own", "compress")
    assert len(task.items(path, "test")) == len(task.items(path, "all")) == 1
    with pytest.raises(InputError, match="no part for tuning"):
        task.items(path, "tune")
    with pytest.raises(InputError, match="is a folder"):
        task.items(tmp_path)
    with pytest.raises(InputError, match="can't be read"):
        task.items(tmp_path / "none.jsonl")
