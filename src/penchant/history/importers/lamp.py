"""LaMP 1 to 7: questions.json, and outputs.json if it exists.

Source: https://lamp-benchmark.github.io (Salemi et al. 2023).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from penchant.errors import InputError
from penchant.history.importers.importer import Importer
from penchant.history.importers.reading import Pair, json_items, parse_time, read_json
from penchant.history.records import Record

Item = Mapping[str, Any]


def _paper(item: Item) -> dict[str, Any]:
    return {"text": f"{item['title']}\n{item['abstract']}".strip(), "kind": "paper"}


def _film(item: Item) -> dict[str, Any]:
    return {"text": item["description"], "label": item["tag"], "kind": "film"}


def _categorised(item: Item) -> dict[str, Any]:
    return {"text": f"{item.get('title', '')}\n{item['text']}".strip(), "label": item["category"], "kind": "article"}


def _review(item: Item) -> dict[str, Any]:
    return {"text": item["text"], "label": float(item["score"]), "kind": "review"}


def _titled(kind: str, text: str) -> Callable[[Item], dict[str, Any]]:
    return lambda item: {"text": item[text], "reply": item["title"] or None, "kind": kind}


def _tweet(item: Item) -> dict[str, Any]:
    return {"text": item["text"], "kind": "tweet"}


TASKS: dict[str, Callable[[Item], dict[str, Any]]] = {
    "1": _paper,
    "2": _film,
    "2N": _categorised,
    "3": _review,
    "4": _titled("article", "text"),
    "5": _titled("paper", "abstract"),
    "6": _titled("email", "text"),
    "7": _tweet,
}
"""The content of a profile item in each task: 1 citation (title and abstract), 2 film tag as label (2N: the older news
category), 3 review with its score as label, 4 article and headline as reply, 5 abstract and title as reply, 6 email and
subject as reply, 7 tweet.
"""

_OPENINGS = (("1", "for an author who has written"), ("4", "generate a headline"), ("6", "generate a subject"))
_KEYS = (("2", "tag"), ("2N", "category"), ("3", "score"), ("5", "abstract"))


def read(path: str | Path, *, user: str | None = None, task: str | None = None) -> Iterator[Pair]:
    """Yield one record per profile item; the question itself is not a record.

    Users are the samples' `user_id`, else their `id`; `user` picks one. `path`: a questions file, or a folder with one
    (`questions.json`, `train_questions.json`, ...). The task ("1" to "7", or "2N") comes from `task`, from the outputs
    file next to the questions, or from the form of the samples. Items without text are skipped. Raises `InputError` for
    a file that isn't LaMP.
    """
    for sample, _, records in samples(path, user=user, task=task):
        for record in records:
            yield owner(sample), record


def owner(sample: Item) -> str:
    """Return the owner of a sample: its `user_id`, else its `id`."""
    return str(sample.get("user_id") or sample["id"])


def samples(
    path: str | Path, *, user: str | None = None, task: str | None = None
) -> Iterator[tuple[Item, str, list[Record]]]:
    """Yield every sample as it is in the file, file and number for messages, and the records of its profile. Arguments
    and errors: see `read`.
    """
    file = questions_file(path)
    named = _task_name(task) if task else _task_of_outputs(file)
    for number, sample in enumerate(json_items(file), 1):
        where = f"{file.name} sample {number}"
        if not isinstance(sample, dict) or "profile" not in sample or not ({"id", "user_id"} & sample.keys()):
            raise InputError(
                f"{where}: expected an object with 'id', 'input' and 'profile'; is this a LaMP questions file?"
            )
        if user is not None and owner(sample) != user:
            continue
        records: list[Record] = []
        for item in sample["profile"]:
            named = named or _task_of(sample, item, where)
            try:
                fields = TASKS[named](item)
                when = parse_time(str(item.get("date") or ""))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                problem = f"no {error}" if isinstance(error, KeyError) else str(error)
                raise InputError(
                    f"{where}: a profile item doesn't fit LaMP-{named} ({problem}); check the task"
                ) from None
            if (fields["text"] or "").strip() or (fields.get("reply") or "").strip():
                meta = {"task": f"LaMP_{named}"}
                records.append(Record(id=str(item.get("id", "")), when=when, meta=meta, **fields))
        yield sample, where, records


def questions_file(path: str | Path) -> Path:
    """Return the questions file for a path. Raises `InputError` for a folder without one, or with several."""
    path = Path(path)
    if not path.is_dir():
        return path
    found = sorted(path.glob("*questions.json"))
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise InputError(f"{path} holds {names}: expected one questions.json; name the file instead of the folder")
    return found[0]


def outputs_file(questions: Path) -> Path:
    """Return the path of the outputs of a questions file."""
    return questions.with_name(questions.name.replace("questions", "outputs"))


def _task_name(task: str) -> str:
    match = re.fullmatch(r"(?:LaMP[-_ ]?)?([1-7]N?)", task.strip(), re.IGNORECASE)
    if not match or match[1].upper() not in TASKS:
        raise InputError(f"unknown LaMP task {task!r}: expected one of {', '.join(TASKS)}")
    return match[1].upper()


def _task_of_outputs(questions: Path) -> str | None:
    outputs = outputs_file(questions)
    if outputs == questions or not outputs.is_file():
        return None
    named = read_json(outputs)
    return _task_name(str(named["task"])) if isinstance(named, dict) and "task" in named else None


def _task_of(sample: Item, item: Any, where: str) -> str:
    opening = str(sample.get("input", "")).lower()
    for task, words in _OPENINGS:
        if opening.startswith(words):
            return task
    if isinstance(item, dict):
        for task, key in _KEYS:
            if key in item:
                return task
        if "text" in item and "title" not in item:
            return "7"
    raise InputError(f"{where}: can't tell the LaMP task from {json.dumps(item)[:80]}; pass task (-o task=1 to 7)")


IMPORTER = Importer(read, "LaMP 1 to 7, questions.json or its folder", several_users=True)
