"""PersonaFeedback (Tao et al. 2025, arXiv 2506.12915): which of two answers suits a persona.

The original files were not available when this was written. According to the paper, a case consists of a persona (a
structured description, with remembered facts), a query, two answers, the one that the annotators chose, and a tier
(easy, medium, hard). JSON and JSON Lines files of such cases are read, with fields named as in `NAMES`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

from penchant.errors import InputError
from penchant.history.importers.reading import open_text, read_json
from penchant.history.records import History, Record, Request
from penchant.text.unicode import replace_surrogates
from penchant_lab.bench.items import Item
from penchant_lab.measures.leaks import without_leaks
from penchant_lab.tasks.task import Task

LEVELS = ("easy", "medium", "hard")

NAMES: Mapping[str, tuple[str, ...]] = {
    "user": ("user_id", "persona_id", "user"),
    "persona": ("persona", "profile", "user_profile"),
    "memory": ("memory", "memories"),
    "query": ("query", "question", "prompt"),
    "chosen": ("chosen", "chosen_response"),
    "rejected": ("rejected", "rejected_response"),
    "answers": ("answers", "responses", "choices"),
    "first": ("response_a", "answer_a"),
    "second": ("response_b", "answer_b"),
    "label": ("label", "preference", "answer"),
    "level": ("level", "difficulty", "tier"),
}
"""What each field may be called. The answers come as `chosen` and `rejected`, as a list `answers`, or as `first` and
`second`; for the latter two a `label` says which was chosen: A or B, or 0 or 1. Without a level of its own a case has
the one that its file or folder is named after."""

ASK = "Answer in the way that suits me best."


def items(path: Path, seed: int = 0) -> list[Item]:
    """Return an item for every case, in the order of the file names and of each file; the tier is the category.

    The records are the lines of the persona and of its memory; a persona without a name is named by a hash. The seed
    draws the order of the two answers.

    Raises `InputError` for other files, damaged ones, and a case without two different answers of which one was chosen.
    """
    histories: dict[tuple[str, ...], History] = {}
    found = []
    for file in _files(path):
        for number, row in enumerate(_rows(file)):
            where = f"{file.name} case {number + 1}"
            lines = [*_lines(_field(row, "persona", where)), *_lines(_get(row, "memory"))]
            if not lines:
                raise InputError(f"{where}: the persona is empty; expected a description of the user")
            user = str(_get(row, "user") or hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12])
            query = _text(_field(row, "query", where), f"{where}: the query")
            answer, other = _answers(row, where)
            records = without_leaks(_records(lines), texts=[query, answer, other])
            key = (user, *(record.text for record in records))
            name = f"{file.relative_to(path).with_suffix('') if path.is_dir() else file.stem}/{number}"
            found.append(
                Item(
                    name,
                    histories.setdefault(key, History(records, user)),
                    Request(query, ASK),
                    answer,
                    choices=tuple(Random(f"personafeedback {seed} {name}").sample([answer, other], 2)),
                    category=_level(row, file, path, where),
                )
            )
    return found


def _records(lines: list[str]) -> list[Record]:
    return [Record(line, id=f"persona:{number}", kind="persona") for number, line in enumerate(lines)]


def _lines(value: Any, name: str = "") -> Iterator[str]:
    """Return the lines of a text; "name: value" for a field of an object; the entries of a list one by one."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _lines(part, f"{name}, {key}" if name else str(key))
    elif isinstance(value, list):
        for part in value:
            yield from _lines(part, name)
    elif value is not None:
        yield from (
            f"{name}: {line.strip()}" if name else line.strip() for line in str(value).splitlines() if line.strip()
        )


def _answers(row: Mapping[str, Any], where: str) -> tuple[str, str]:
    """Return the chosen answer and the other one."""
    if (chosen := _get(row, "chosen")) is not None:
        pair = [chosen, _field(row, "rejected", where)]
        index = 0
    else:
        pair = _get(row, "answers") or [_field(row, "first", where), _field(row, "second", where)]
        index = _chosen_index(_field(row, "label", where), where)
    if not isinstance(pair, list) or len(pair) != 2:
        raise InputError(f"{where}: {len(pair) if isinstance(pair, list) else 'no list of'} answers; expected two")
    texts = [_text(answer, f"{where}: an answer") for answer in pair]
    if texts[0] == texts[1]:
        raise InputError(f"{where}: both answers are the same; expected two different ones")
    return texts[index], texts[1 - index]


def _chosen_index(label: Any, where: str) -> int:
    indexes = {"a": 0, "b": 1, "0": 0, "1": 1}
    try:
        return indexes[str(label).strip().lower()]
    except KeyError:
        raise InputError(f"{where}: the label is {str(label)[:40]!r}; expected A or B, or 0 or 1") from None


def _level(row: Mapping[str, Any], file: Path, root: Path, where: str) -> str:
    named = _get(row, "level")
    inside = file.relative_to(root) if root.is_dir() else Path(file.name)
    told = str(named).lower() if named is not None else str(inside).lower()
    found = [level for level in LEVELS if level in told]
    if len(found) > 1 or (named is not None and not found):
        raise InputError(f"{where}: the level is {told[:40]!r}; expected one of {', '.join(LEVELS)}")
    return found[0] if found else ""


def _files(path: Path) -> list[Path]:
    files = sorted(f for f in path.rglob("*") if f.suffix in (".json", ".jsonl")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path} is no PersonaFeedback folder: expected .json or .jsonl files of cases in it")
    return files


def _rows(file: Path) -> Iterator[Mapping[str, Any]]:
    for number, row in enumerate(_json_lines(file) if file.suffix == ".jsonl" else _list(file)):
        if not isinstance(row, Mapping):
            raise InputError(f"{file.name} case {number + 1}: no object; expected persona, query and answers")
        yield row


def _list(file: Path) -> list[Any]:
    rows = read_json(file)
    if not isinstance(rows, list):
        raise InputError(f"{file.name}: no list of cases; expected PersonaFeedback's JSON")
    return rows


def _json_lines(file: Path) -> Iterator[Any]:
    with open_text(file) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield replace_surrogates(json.loads(line))
                except (ValueError, RecursionError) as error:
                    raise InputError(
                        f"{file.name} line {number}: invalid JSON ({error}): the file is damaged or cut off"
                    ) from None


def _get(row: Mapping[str, Any], field: str) -> Any:
    return next((row[name] for name in NAMES[field] if row.get(name) is not None), None)


def _field(row: Mapping[str, Any], field: str, where: str) -> Any:
    value = _get(row, field)
    if value is None:
        raise InputError(f"{where}: no field {' or '.join(NAMES[field])}; expected persona, query and two answers")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{what} is {str(value)[:40]!r}; expected a text")
    return value


TASK = Task(
    "personafeedback",
    ("preference",),
    items,
    ("accuracy",),
    "PersonaFeedback: which of two answers suits a persona (Tao et al. 2025, arXiv 2506.12915)",
    seeded=True,
    unit="record",
    budget="100",
    scoring="mean",
)
