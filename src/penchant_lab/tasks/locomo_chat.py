"""LoCoMo (Maharana et al. 2024) as dialogues: one speaker is the user, the other the assistant."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from penchant.history.records import History, Record
from penchant_lab.bench.items import Item
from penchant_lab.tasks import locomo
from penchant_lab.tasks.task import Task


def items(path: Path, seed: int = 0) -> list[Item]:
    """Return the questions of `locomo.load`. The user is whoever speaks first; successive turns of one speaker are
    joined into one, with the time of the first. Texts keep the speaker's name, since the questions name both speakers.
    """
    made = []
    for labelled in locomo.load(path):
        history, joined = as_dialogue(labelled.history)
        for number, question in enumerate(labelled.questions):
            made.append(
                Item(
                    f"{history.user}/{number}",
                    history,
                    question.request,
                    question.answer,
                    evidence=tuple(dict.fromkeys(joined[name] for name in question.evidence)),
                    category=str(question.category),
                )
            )
    return made


def as_dialogue(history: History) -> tuple[History, dict[str, str]]:
    """Return the turns of two speakers as those of user and assistant, and the id that each turn's record gets."""
    joined: dict[str, str] = {}
    made: list[Record] = []
    first = history[0].meta["speaker"] if len(history) else ""
    for is_user, group in groupby(history, key=lambda record: record.meta["speaker"] == first):
        some = list(group)
        name = f"t{len(made)}"
        joined.update((record.id, name) for record in some)
        text = "\n".join(record.text for record in some)
        made.append(Record(text, name, when=some[0].when, kind="user" if is_user else "assistant"))
    return History(made, history.user), joined


TASK = Task(
    "locomo-chat",
    ("memory",),
    items,
    (),
    "LoCoMo as dialogues, questions at the end, with the turns that answer them (Maharana et al. 2024, "
    "arXiv 2402.17753)",
    unit="record",
    budget="2048",
    split=locomo.split,
    dialogues=True,
)
