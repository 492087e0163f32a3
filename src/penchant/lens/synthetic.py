"""Synthetic needles in generated histories: used to discover heads without labelled data."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

from penchant.errors import InputError
from penchant.history.records import History, Record, Request
from penchant.lens.labelled import LabelledHistory, Question

SHORTEST, LONGEST = 10, 60  # words of a record
_FACTS, _DISTRACTORS = 0.2, 0.25  # largest share of the records
_FIRST = {"I": "I", "me": "me", "my": "my", "am": "am", "have": "have", "do": "do", "was": "was", "s": ""}
_THIRD = {"am": "is", "have": "has", "do": "does", "was": "was", "s": "s"}
_PRONOUNS = {"she": {"I": "she", "me": "her", "my": "her"}, "he": {"I": "he", "me": "him", "my": "his"}}


@dataclass(frozen=True)
class _Person:
    name: str
    pronoun: str


@dataclass(frozen=True)
class _Fact:
    """The fact in one record. `who`: the person it is about, None for the history's own "I"."""

    told: str
    value: str
    who: _Person | None
    speaker: _Person | None = None
    asked: str | None = None


@cache
def material() -> dict[str, Any]:
    """Return the sentences, values and names that histories are made of (synthetic.json)."""
    document: dict[str, Any] = json.loads(Path(__file__).with_name("synthetic.json").read_text(encoding="utf-8"))
    return document


def needle_histories(count: int, records: int, seed: int = 0) -> list[LabelledHistory]:
    """Generate `count` histories of `records` records each, with questions answered by one known record.

    Three styles take turns: notes in the first person, a chat of two, a log in the third person. A fifth of the records
    (at most one for each of 55 kinds of fact) state a fact about the main person, up to a quarter state the same kind
    of fact about somebody else, and the rest are small talk. Each fact has one question, worded differently from the
    record; its answer, a value or a date, occurs in that record only. Records have 10 to 60 words and span months.

    History k depends on the seed, k and `records` only. Raises `InputError` for a negative count or no records.
    """
    if count < 0 or records < 1:
        raise InputError(f"{count} histories of {records} records: expected 0 or more of at least one record")
    styles = ("notes", "chat", "log")
    return [
        _history(random.Random(f"{seed}/{number}/{records}"), style, records, f"planted-{seed}-{number}")
        for number, style in zip(range(count), cycle(styles), strict=False)
    ]


def _history(rng: random.Random, style: str, records: int, user: str) -> LabelledHistory:
    people = [_Person(name, pronoun) for name, pronoun in material()["people"]]
    rng.shuffle(people)
    times = _times(rng, records)
    kinds = [*material()["attributes"], *material()["events"]]
    kinds = rng.sample(kinds, min(len(kinds), max(1, round(records * _FACTS))))
    indices = rng.sample(range(records), records)
    needles: dict[int, _Fact] = {}
    used: set[str] = set()
    for kind in kinds:
        index = indices.pop()
        needles[index] = _fact(rng, style, people, kind, _value(rng, kind, times[index], used))
    for kind in (kinds * 2)[: min(len(indices), int(records * _DISTRACTORS))]:
        index = indices.pop()
        needles[index] = _distractor(rng, style, people, kind, _value(rng, kind, times[index], used))
    # Half of the small talk is about the main person.
    talked_of = [people[0] if style == "log" else None] * 4 + people[2:6]
    told: list[Record] = []
    questions: list[tuple[int, _Fact]] = []
    for index, when in enumerate(times):
        fact = needles.get(index)
        speaker = fact.speaker if fact else None
        if style == "chat" and speaker is None:
            speaker = rng.choice(people[:2])
        dated = _date(when)
        told_fact = _render(fact.told, fact.who, fact.value) if fact else None
        text = _text(rng, told_fact, talked_of, None if dated in used else dated)
        named = f"{speaker.name}: {text}" if speaker else text
        meta = {"speaker": speaker.name} if speaker else {}
        told.append(
            Record(named, id=f"{user}:{index}", when=when, kind="turn" if style == "chat" else "note", meta=meta)
        )
        if fact and fact.asked:
            questions.append((index, fact))
    rng.shuffle(questions)
    return LabelledHistory(
        History(told, user),
        tuple(
            Question(
                Request(_render(str(fact.asked), fact.who or (fact.speaker if style == "chat" else None), "")),
                fact.value,
                (told[index].id,),
            )
            for index, fact in questions
        ),
    )


def _fact(rng: random.Random, style: str, people: Sequence[_Person], kind: dict[str, Any], value: str) -> _Fact:
    """Make a fact about the owner of notes ("I"), one of two people in a chat (in the first person), or the main person
    of a log.
    """
    told, asked = rng.choice(kind["told"]), rng.choice(kind["asked"])
    if style == "chat":
        return _Fact(told, value, None, rng.choice(people[:2]), asked)
    return _Fact(told, value, people[0] if style == "log" else None, None, asked)


def _distractor(rng: random.Random, style: str, people: Sequence[_Person], kind: dict[str, Any], value: str) -> _Fact:
    """Make the same kind of fact about somebody whom no question is about."""
    speaker = rng.choice(people[:2]) if style == "chat" else None
    return _Fact(rng.choice(kind["told"]), value, rng.choice(people[2:]), speaker)


def _value(rng: random.Random, kind: dict[str, Any], when: datetime, used: set[str]) -> str:
    """Return a value that no other record of the history has; for an event, a date in the weeks before."""
    options = kind.get("values") or [_date(when - timedelta(days=days)) for days in range(60)]
    free = [option for option in options[:21] if option not in used] or [o for o in options if o not in used]
    value: str = rng.choice(free)
    used.add(value)
    return value


def _date(when: datetime) -> str:
    return f"{when.day} {material()['months'][when.month - 1]}"


def _times(rng: random.Random, records: int) -> list[datetime]:
    now = datetime(2021, 1, 1, 9, tzinfo=UTC) + timedelta(days=rng.randrange(700))
    times = []
    for _ in range(records):
        now += timedelta(minutes=rng.randrange(1, 20)) if rng.random() < 0.5 else timedelta(hours=rng.uniform(5, 60))
        times.append(now.replace(second=0, microsecond=0))
    return times


def _render(template: str, who: _Person | None, value: str) -> str:
    """Fill a sentence in: the first person for None, else the third, by name at first and then by pronoun."""
    named = False

    def word(match: re.Match[str]) -> str:
        nonlocal named
        slot = match[1]
        if slot == "value":
            return value
        if who is None:
            return _FIRST[slot]
        if slot in _THIRD:
            return _THIRD[slot]
        if named:
            return _PRONOUNS[who.pronoun][slot]
        named = True
        return f"{who.name}'s" if slot == "my" else who.name

    return _sentence_case(re.sub(r"\{(\w+)\}", word, template), value)


def _sentence_case(text: str, value: str) -> str:
    """Capitalise the beginnings of sentences, except for values, which are kept unchanged."""
    if value and text.startswith(value):
        return text
    return text[:1].upper() + text[1:]


def _text(rng: random.Random, fact: str | None, people: Sequence[_Person | None], dated: str | None) -> str:
    """Make a record of SHORTEST to LONGEST words: the fact, if any, somewhere among small talk about `people`.

    dated: the record's date, where it may be mentioned."""
    opener = []
    if rng.random() < 0.3:
        opener = [f"{dated}."] if dated and rng.random() < 0.3 else [rng.choice(material()["openers"])]
    parts = [fact] if fact else []
    wanted = rng.triangular(SHORTEST, LONGEST, 22)
    fillers = rng.sample([*material()["fillers"], *material()["daily"]], 15)
    while _words(opener + parts) < wanted and fillers:
        filler = _filler(rng, fillers.pop(), rng.choice(people))
        if _words([*opener, *parts, filler]) < LONGEST:  # one word is reserved for a speaker's name
            parts.insert(rng.randrange(len(parts) + 1), filler)
    return " ".join(opener + parts)


def _words(parts: Sequence[str]) -> int:
    return sum(len(part.split()) for part in parts)


def _filler(rng: random.Random, template: str, who: _Person | None) -> str:
    slots: dict[str, list[str]] = material()["slots"]
    filled = re.sub(r"\{(\w+)\}", lambda m: rng.choice(slots[m[1]]) if m[1] in slots else m[0], template)
    return _render(filled, who, "")
