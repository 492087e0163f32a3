"""LoCoMo (Maharana et al. 2024): questions over very long conversations, with the turns that answer them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from penchant.errors import InputError
from penchant.history.importers import locomo
from penchant.history.importers.reading import json_items
from penchant.history.records import History, Record, Request
from penchant.lens.labelled import LabelledHistory, Question
from penchant_lab.bench.items import Item, Part
from penchant_lab.tasks.task import Task

#: Adversarial questions, which the conversation doesn't answer.
UNANSWERABLE = 5

#: Choices (heads, weights, wordings) are made on the first three conversations of the file.
TUNING = 3


def load(path: str | Path) -> list[LabelledHistory]:
    """Return every conversation of a LoCoMo file (or of the folder with locomo.json), in the order of the file, with
    its answerable questions that have evidence.

    Evidence ids that name no turn are dropped, and so is a question without any other evidence. Raises `InputError` for
    another file, or for two conversations with the same name.
    """
    file = Path(path) / "locomo.json" if Path(path).is_dir() else Path(path)
    records: dict[str, list[Record]] = {}
    for user, record in locomo.read(file):
        records.setdefault(user, []).append(record)
    loaded: dict[str, LabelledHistory] = {}
    for number, sample in enumerate(json_items(file)):
        user = str(sample.get("sample_id", f"conversation-{number}"))
        if user in loaded:
            raise InputError(f"{file.name}: two conversations are named {user!r}; give each its own sample_id")
        turns = records.get(user, [])
        known = {record.id for record in turns}
        where = f"{file.name} {user}"
        questions = (_question(item, known, f"{where} question {at + 1}") for at, item in enumerate(_qa(sample, where)))
        loaded[user] = LabelledHistory(History(turns, user), tuple(q for q in questions if q is not None))
    return list(loaded.values())


def items(path: Path, seed: int = 0) -> list[Item]:
    """Return an item for every question of `load`; nothing is drawn."""
    return [
        Item(
            f"{labelled.history.user}/{number}",
            labelled.history,
            question.request,
            question.answer,
            evidence=question.evidence,
            category=str(question.category),
        )
        for labelled in load(path)
        for number, question in enumerate(labelled.questions)
    ]


def split(items: list[Item], part: Part) -> list[Item]:
    """Return the items of a part: the first three conversations are for tuning, the others for testing."""
    order = list(dict.fromkeys(item.user for item in items))
    chosen = {"tune": order[:TUNING], "test": order[TUNING:], "all": order}[part]
    return [item for item in items if item.user in chosen]


def _qa(sample: Mapping[str, Any], where: str) -> list[Any]:
    items = sample.get("qa")
    if not isinstance(items, list):
        raise InputError(f"{where}: no 'qa'; expected a LoCoMo file with a list of questions")
    return items


def _question(item: Mapping[str, Any], known: Collection[str], where: str) -> Question | None:
    try:
        category = int(item["category"])
        evidence = evidence_ids(item["evidence"], known)
        if category == UNANSWERABLE or not evidence:
            return None
        return Question(Request(str(item["question"])), str(item["answer"]), evidence, category)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where}: {error!r}; expected question, answer, category and evidence") from None


def evidence_ids(entries: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    """Return the turn ids that the entries name and `known` contains, each once, in their order.

    An entry may hold several ids ("D8:6; D9:17"), and a turn's number may have a leading zero ("D30:05").
    """
    found: dict[str, None] = {}
    for entry in entries:
        for name in re.split(r"[;,\s]+", entry):
            plain = re.sub(r"(?<=\D)0+(?=\d)", "", name)
            found.update(dict.fromkeys(n for n in (name, plain) if n in known))
    return tuple(found)


TASK = Task(
    "locomo",
    ("mark", "compress"),
    items,
    ("f1",),
    "LoCoMo: questions over very long conversations, with their evidence (Maharana et al. 2024, arXiv 2402.17753)",
    max_new_tokens=24,
    unit="record",
    split=split,
)
