"""PrefEval (Zhao et al. 2025, arXiv 2502.09597): which option fits a preference stated many conversations ago.

A history is one conversation: first the exchanges that state the preference (outright, by a choice among options, or in
passing), then whole conversations about something else. The data set's own code inserts the first exchanges of one
fixed sequence of conversations, the same for every preference. Here 0, 5 or 10 whole conversations are drawn for each
preference, so that no single one decides. Distances are therefore longer than those that the paper reports under the
same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Literal

from penchant.errors import InputError
from penchant.history.importers.reading import read_json
from penchant.history.records import History, Record, Request
from penchant_lab.bench.items import Item
from penchant_lab.measures.leaks import leak_finder
from penchant_lab.tasks.task import Task

Kind = Literal["explicit", "choice", "persona"]
"""How the preference is told: in a sentence, by choosing one of four options, or in a talk about other things."""

#: Conversations between the preference and the question; an item's category.
DISTANCES = (0, 5, 10)

OPTIONS = 4
DISTRACTORS = "filtered_inter_turns.json"
MCQ = "mcq_options"
FOLDERS: Mapping[Kind, str] = {
    "choice": "implicit_preference/choice-based",
    "persona": "implicit_preference/persona-driven",
}

# Wordings and ways of asking were compared by accuracy with the preference itself as notes, under SmolLM2-135M (60
# tuning preferences; standard error 0.06, chance 0.25). Texts as choices 0.40 with this task, 0.38 with "Recommend what
# fits my preferences, in one sentence.", 0.35 without a task; by mean NLL a token 0.40, 0.38, 0.37. Letters of listed
# options 0.23: the model says A whatever stands there. Gain over no notes: 0.22 and less, below chance. A model of this
# size takes "I avoid wicker" for a reason to say wicker: without any notes it reaches 0.42 to 0.45.
ASK = "Answer with the option that fits my preferences best."


def items(kind: Kind, path: Path, seed: int = 0) -> list[Item]:
    """Return an item for every preference and distance, those of one preference together.

    A preference is one user, "topic/number". The seed draws the order of the options and the conversations; a shorter
    distance has the first conversations of a longer one. As in the data set's own code, the question, the options and
    the explicit preference are those of mcq_options, and the position in the file links them to the implicit ones.
    Preferences whose history already contains the question or an option are left out, as some of "choice" do. evidence:
    the exchange that states the preference; empty for "persona", where the data don't say which one does.

    Raises `InputError` for a folder that isn't PrefEval, a damaged file, and options that aren't four different texts.
    """
    distractors = _distractors(path / DISTRACTORS)
    return [
        item
        for topic in _topics(path)
        for user, question, told in _preferences(kind, path, topic)
        if not any(map(leak_finder(texts=[question.text, *question.options]), told.records))
        for item in _items(user, question, told, distractors, Random(f"prefeval {seed} {user}"))
    ]


def _items(
    user: str, question: _Question, told: _Told, distractors: Sequence[Sequence[Record]], random: Random
) -> Iterator[Item]:
    options = random.sample(question.options, OPTIONS)
    between = random.sample(distractors, max(DISTANCES))
    for distance in DISTANCES:
        records = [*told.records, *(record for conversation in between[:distance] for record in conversation)]
        yield Item(
            f"{user}/{distance}",
            History(records, user),
            Request(question.text, ASK),
            question.options[0],
            choices=tuple(options),
            evidence=told.evidence,
            category=str(distance),
        )


class _Question:
    """A row of mcq_options; the first option is the right one."""

    def __init__(self, row: Mapping[str, Any], where: str) -> None:
        self.text = _text(row, "question", where)
        self.preference = _text(row, "preference", where)
        options = row.get("classification_task_options")
        if (
            not isinstance(options, list)
            or not all(isinstance(option, str) and option.strip() for option in options)
            or not len(set(options)) == len(options) == OPTIONS
        ):
            raise InputError(
                f"{where}: classification_task_options is {str(options)[:60]!r}; expected {OPTIONS} different texts"
            )
        self.options: list[str] = options


class _Told:
    """The exchanges that state a preference, and which of them are evidence."""

    def __init__(self, exchanges: Sequence[tuple[str, str | None]], evidence: Sequence[int]) -> None:
        self.records = [
            Record(text, id=f"preference:{number}", reply=reply, kind="chat")
            for number, (text, reply) in enumerate(exchanges)
        ]
        self.evidence = tuple(self.records[number].id for number in evidence)


def _preferences(kind: Kind, path: Path, topic: str) -> Iterator[tuple[str, _Question, _Told]]:
    file = path / MCQ / f"{topic}.json"
    rows = _rows(file)
    if kind != "explicit":
        told_in = path / FOLDERS[kind] / f"{topic}.json"
        implicit = _rows(told_in)
        if len(implicit) < len(rows):
            raise InputError(f"{told_in.name}: {len(implicit)} preferences for {len(rows)} questions; is it cut off?")
    for number, row in enumerate(rows):
        question = _Question(row, f"{file.name} item {number + 1}")
        if kind == "explicit":
            told = _Told([(question.preference, None)], [0])
        else:
            where = f"{FOLDERS[kind]}/{told_in.name} item {number + 1}"
            if {question.preference, question.text}.isdisjoint(map(implicit[number].get, ("preference", "question"))):
                raise InputError(f"{where}: another preference than in {MCQ}; take both from one version of PrefEval")
            told = _TOLD[kind](implicit[number], where)
        yield f"{topic}/{number}", question, told


def _chosen(row: Mapping[str, Any], where: str) -> _Told:
    said = _part(row, "conversation", dict, where)
    first, options, selection, answer = (
        _text(said, name, where)
        for name in ("query", "assistant_options", "user_selection", "assistant_acknowledgment")
    )
    return _Told([(first, options), (selection, answer)], [1])


def _mentioned(row: Mapping[str, Any], where: str) -> _Told:
    turns = _part(row, "conversation", dict, where).values()
    if not turns or not all(isinstance(turn, dict) for turn in turns):
        raise InputError(f"{where}: no turns in 'conversation'; expected PrefEval's persona-driven layout")
    return _Told([(_text(turn, "user", where), _text(turn, "assistant", where)) for turn in turns], [])


_TOLD: Mapping[Kind, Callable[[Mapping[str, Any], str], _Told]] = {"choice": _chosen, "persona": _mentioned}


def _topics(path: Path) -> list[str]:
    topics = sorted(file.stem for file in (path / MCQ).glob("*.json"))
    if not topics:
        raise InputError(f"{path} is no PrefEval folder: expected {MCQ}/*.json and {DISTRACTORS} in it")
    return topics


def _distractors(file: Path) -> list[list[Record]]:
    """Return the exchanges of every conversation."""
    if not file.is_file():
        raise InputError(f"{file.parent} is no PrefEval folder: expected {MCQ}/*.json and {DISTRACTORS} in it")
    conversations = []
    for number, row in enumerate(_rows(file)):
        where = f"{file.name} item {number + 1}"
        name = str(row.get("conversation_id") or number)
        conversations.append(_exchanges(_part(row, "conversation", list, where), name, where))
    if len(conversations) < max(DISTANCES):
        raise InputError(
            f"{file.name}: {len(conversations)} conversations; expected at least {max(DISTANCES)}; is it cut off?"
        )
    return conversations


def _exchanges(turns: Sequence[Any], name: str, where: str) -> list[Record]:
    """Return a record for every turn of the user, with the assistant's answer."""
    said: list[tuple[str, str | None]] = []
    for turn in turns:
        if not isinstance(turn, dict) or turn.get("role") not in ("user", "assistant"):
            raise InputError(f"{where}: a turn has neither role user nor assistant; expected PrefEval's distractors")
        text = _text(turn, "content", where)
        if turn["role"] == "user":
            said.append((text, None))
        elif said and said[-1][1] is None:
            said[-1] = (said[-1][0], text)
        else:
            raise InputError(f"{where}: an answer without a question; expected turns of user and assistant by turns")
    return [Record(text, id=f"{name}:{at}", reply=reply, kind="chat") for at, (text, reply) in enumerate(said)]


def _rows(file: Path) -> list[Mapping[str, Any]]:
    rows = read_json(file)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{file.parent.name}/{file.name}: expected a list of objects, as PrefEval has it")
    return rows


def _part(row: Mapping[str, Any], name: str, of: type, where: str) -> Any:
    value = row.get(name)
    if not isinstance(value, of):
        raise InputError(f"{where}: no {name!r}; expected PrefEval's layout")
    return value


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: no text in {name!r}; expected PrefEval's layout")
    return value


def _task(kind: Kind, told: str) -> Task:
    return Task(
        f"prefeval-{kind}",
        ("preference",),
        partial(items, kind),
        ("accuracy",),
        f"PrefEval: the option that fits a preference {told}, 0 to 10 conversations ago "
        "(Zhao et al. 2025, arXiv 2502.09597)",
        seeded=True,
        budget="100",
        scoring="mean",
    )


EXPLICIT_TASK = _task("explicit", "stated")
CHOICE_TASK = _task("choice", "shown by a choice")
PERSONA_TASK = _task("persona", "mentioned in a talk")
