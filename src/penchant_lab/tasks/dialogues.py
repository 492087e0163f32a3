"""Dialogues made in code: an instruction at the beginning, facts along the way, small talk in between, questions at the
end.

The instruction is in turn 1; in every third dialogue, another of its kind replaces it later. The assistant complies in
all its answers or, in "dialogues-drift", in the first third of them.
"""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

from penchant.history.dialogue import Role
from penchant.history.records import Request
from penchant_lab.bench.dialogues import history_of
from penchant_lab.bench.items import Item, part_of
from penchant_lab.measures.adherence import Check
from penchant_lab.tasks.chatter import EVERYDAY, FILL, LEADS, TOPICS
from penchant_lab.tasks.insertions import ANSWERED, FACTS, KINDS, Fact
from penchant_lab.tasks.task import Task

A_HALF = 24
"""Dialogues in each half of `part_of`."""
FEWEST_TURNS, MOST_TURNS = 30, 100
ORDER = (
    *("end", "name", "upper", "start", "end", "no-comma", "name", "start", "bullets", "end", "start", "lower"),
    *("start", "end", "name", "end", "name", "upper", "name", "start", "sentence", "start", "end", "no-comma"),
)
"""Kinds of instruction, dialogue by dialogue: most have words whose likelihood can be scored."""
CHANGED = 3
"""Every so many dialogues there is a change (those are of kinds that can change)."""
RECENT = 4
"""The last exchanges hold no fact, so that the newest turns alone don't answer."""
CHECKS = 2
"""Questions about the instruction in each dialogue."""


def items(path: Path | None = None, seed: int = 0, *, drift: bool = False) -> list[Item]:
    """Return the questions of `A_HALF` dialogues in each half of `part_of`, of `FEWEST_TURNS` to `MOST_TURNS` turns.

    path: not read. Names are the same for every seed; texts differ. Categories: "constraint" (the instruction of turn 1
    still holds) and "constraint, changed"; "fact" (in a turn of the user) and "fact, answer" (in one of the assistant).
    """
    made: list[Item] = []
    for half in ("tune", "test"):
        names = [name for name in map("dialogue-{}".format, range(8 * A_HALF)) if part_of(name) == half][:A_HALF]
        for number, name in enumerate(names):
            made += _Script(name, number, random.Random(f"{seed}/{name}"), drift).items()
    return made


class _Script:
    """One dialogue. said: its turns. The questions about them are made along the way."""

    def __init__(self, name: str, number: int, draw: random.Random, drift: bool) -> None:
        self.name, self.draw = name, draw
        self.kind = next(kind for kind in KINDS if kind.name == ORDER[number % len(ORDER)])
        self.phrases = draw.sample(self.kind.phrases, min(2, len(self.kind.phrases)))
        turns = FEWEST_TURNS + round((MOST_TURNS - FEWEST_TURNS) * (number * 7 % A_HALF) / (A_HALF - 1))
        self.count = turns // 2
        self.complies = self.count // 3 if drift else self.count
        self.change = self.count // 2 + draw.randint(-2, 2) if number % CHANGED == 0 else None
        self.said: list[tuple[Role, str]] = []
        self.questions = _questions(draw)
        self.opened: set[str] = set()

    def items(self) -> list[Item]:
        facts = self.draw.sample(FACTS, self.draw.choice((3, 3, 4)))
        answered = self.draw.sample(ANSWERED, 1)
        free = [position for position in range(1, self.count - RECENT) if position != self.change]
        positions = self.draw.sample(free, len(facts) + 1)
        inserted = dict(zip(positions, [*facts, *answered], strict=True))
        values = {fact.name: self.draw.choice(fact.values) for fact in inserted.values()}
        for position in range(self.count):
            self._exchange(position, inserted.get(position), values)
        return self._asked(inserted, values)

    def _exchange(self, position: int, fact: Fact | None, values: dict[str, str]) -> None:
        question, pool = self.questions[position]
        sentences = self._sentences(pool)
        user = (self.draw.choice(LEADS) if position else "") + question
        if fact is not None and fact.asked:
            user = self.draw.choice(fact.asked)
            told = self.draw.choice(fact.wordings).format(x=values[fact.name])
            sentences.insert(self.draw.randrange(len(sentences)) if self.kind.name != "sentence" else 0, told)
        elif fact is not None:
            user = f"{self.draw.choice(fact.wordings).format(x=values[fact.name])} {question}"
        if position == 0:
            rule = self.draw.choice(self.kind.wordings).format(p=self.phrases[0])
            user = f"{rule} {user}"
        elif position == self.change:
            rule = self.draw.choice(self.kind.changes).format(p=self.phrases[1], old=self.phrases[0])
            user = f"{rule} {user}"
        complies = position < self.complies or position == self.change
        answer = self.kind.comply(sentences, self._phrase(position)) if complies else " ".join(sentences)
        self.said += [("user", user), ("assistant", answer)]

    def _phrase(self, position: int) -> str:
        return self.phrases[0 if self.change is None or position < self.change else 1]

    def _sentences(self, pool: tuple[str, ...]) -> list[str]:
        """Return an answer of four to seven sentences; it doesn't begin like an earlier answer if there is another
        beginning.
        """
        chosen = self.draw.sample(pool, self.draw.choice((4, 4, 5, 5, 6, 7)))
        filled = [sentence.format_map({k: self.draw.choice(v) for k, v in FILL.items()}) for sentence in chosen]
        first = next((one for one in filled if one not in self.opened), filled[0])
        self.opened.add(first)
        return [first, *(one for one in filled if one is not first)]

    def _asked(self, inserted: dict[int, Fact], values: dict[str, str]) -> list[Item]:
        turn = 0 if self.change is None else 2 * self.change
        history = history_of(self.name, self.said, standing=[turn])
        phrase, made = self._phrase(self.count), []
        for position, fact in inserted.items():
            given = self.kind.opening(fact.given, phrase)
            value = values[fact.name]
            if self.kind.name in ("upper", "lower"):
                value = self.kind.opening(value, "")
            made.append(
                Item(
                    f"{self.name}/{fact.name}",
                    history,
                    Request(fact.question),
                    f" {value}",
                    evidence=(f"t{2 * position + bool(fact.asked)}",),
                    category="fact, answer" if fact.asked else "fact",
                    given=given,
                    quotes=(values[fact.name],),
                )
            )
        check: Check = self.kind.check(phrase)
        for number, (question, short) in enumerate(self.draw.sample(EVERYDAY, CHECKS)):
            given, scored = self.kind.scored(short, phrase)
            made.append(
                Item(
                    f"{self.name}/rule-{number}",
                    history,
                    Request(question),
                    scored,
                    evidence=(f"t{turn}",),
                    category="constraint" if self.change is None else "constraint, changed",
                    given=given,
                    quotes=(phrase,),
                    check=check,
                )
            )
        return made


def _questions(draw: random.Random) -> list[tuple[str, tuple[str, ...]]]:
    """Return all questions of the small talk in a random order, each with the sentences that answer it."""
    every = [(question, pool) for questions, pool in TOPICS for question in questions]
    draw.shuffle(every)
    return [(question.format_map({k: draw.choice(v) for k, v in FILL.items()}), pool) for question, pool in every]


def _task(name: str, drift: bool, about: str) -> Task:
    return Task(
        name,
        ("memory",),
        partial(items, drift=drift),
        ("adherence",),
        about,
        max_new_tokens=80,
        seeded=True,
        unit="record",
        budget="35%",
        in_code=True,
        dialogues=True,
    )


_ABOUT = "dialogues made in code: an instruction in turn 1, facts on the way, chatter between, questions at the end"
TASK = _task("dialogues", False, _ABOUT)
DRIFT_TASK = _task("dialogues-drift", True, f"{_ABOUT}; the assistant stops complying after a third")
