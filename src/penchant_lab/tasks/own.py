"""One's own questions and answers, in one JSON Lines file: records of users, and questions with the right answers."""

from __future__ import annotations

from pathlib import Path

from pydantic import StrictStr

from penchant.errors import InputError
from penchant.history.jsonl import RecordLine, line_record
from penchant.history.lines import numbered_lines, parse_line
from penchant.history.records import History, Record, Request
from penchant_lab.bench.items import Item, Part
from penchant_lab.tasks.task import Task

_SHAPE = (
    'a record, {"user": "kim", "id": "r1", "text": "..."}, or a question, '
    '{"user": "kim", "question": "...", "answer": "..."}'
)


class _Line(RecordLine):
    """A record of a user, or a question about one: then without the keys of a record."""

    text: StrictStr = ""
    user: StrictStr = ""
    question: StrictStr | None = None
    task: StrictStr | None = None
    answer: StrictStr | None = None
    references: tuple[StrictStr, ...] = ()
    evidence: tuple[StrictStr, ...] = ()
    category: StrictStr = ""


_ASKED = ("question", "task", "answer", "references", "evidence", "category")


def items(path: Path, seed: int = 0) -> list[Item]:
    """An item for every question of a file, on all records of its user; nothing is drawn.

    Raises `InputError`, naming the line, for what is neither a record nor a question, for a record's id that comes
    twice, for evidence that isn't an id of the user's records, and for a question about a user without records.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder: expected one JSON Lines file of records and questions")
    records: dict[str, dict[str, Record]] = {}
    asked: list[tuple[str, _Line]] = []
    for number, raw in numbered_lines(path, "task"):
        where = f"{path.name} line {number}"
        line = parse_line(raw, where, _Line, _checked, what="line", shape=_SHAPE)
        if line.question is not None:
            asked.append((where, line))
            continue
        record = line_record(line)
        if record.id in records.setdefault(line.user, {}):
            raise InputError(f"{where}: the record {record.id!r} of {line.user!r} comes twice: remove one of the lines")
        records[line.user][record.id] = record
    if not asked:
        raise InputError(f"{path.name} has no question: expected lines such as {_SHAPE}")
    histories = {user: History(some.values(), user) for user, some in records.items()}
    return [_item(where, line, histories) for where, line in asked]


def _checked(line: _Line) -> _Line:
    given = line.model_fields_set
    if line.question is None:
        if odd := sorted(given & set(_ASKED)):
            raise InputError(f"it has {odd[0]!r}, but no question")
        line_record(line)
    elif odd := sorted(given - set(_ASKED) - {"user"}):
        raise InputError(f"it has a question, and {odd[0]!r}, which is of a record")
    elif line.answer is None or not line.answer.strip():
        raise InputError("a question without an answer")
    else:
        Request(line.question, line.task)
    return line


def _item(where: str, line: _Line, histories: dict[str, History]) -> Item:
    history = histories.get(line.user)
    if history is None:
        raise InputError(f"{where}: no records of {line.user!r} to answer from: add lines with this user and a text")
    known = {record.id for record in history}
    if unknown := [name for name in line.evidence if name not in known]:
        raise InputError(f"{where}: the evidence {unknown[0]!r} is no id of a record of {line.user!r}: mend the id")
    return Item(
        where,
        history,
        Request(line.question or "", line.task),
        line.answer or "",
        references=line.references,
        evidence=line.evidence,
        category=line.category,
    )


def _split(items: list[Item], part: Part) -> list[Item]:
    """All items: the file is for testing, and whoever tunes on another part brings another file."""
    if part == "tune":
        raise InputError("a file of one's own has no part for tuning: leave --part out, or name another file")
    return items


TASK = Task(
    "own",
    ("mark", "compress"),
    items,
    ("f1",),
    "your own questions and answers, in one JSON Lines file",
    max_new_tokens=24,
    split=_split,
)
