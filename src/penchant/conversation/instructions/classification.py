"""Classifies whether a sentence is a standing instruction, by the patterns of its language (`classify`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import regex

from penchant.conversation.instructions.languages import Table
from penchant.conversation.instructions.sentences import Sentence

Confidence = Literal["yes", "doubt", "no"]


@dataclass(frozen=True)
class Classification:
    """The classification of a sentence.

    confidence: that it is an instruction; "doubt" if it has cues of an instruction and of something else.
    table: that of the deciding language. start: where the instruction begins in the sentence.
    """

    confidence: Confidence
    table: Table | None = None
    start: int = 0


NO = Classification("no")


def classify(sentence: Sentence) -> Classification:
    """Return the most confident classification among the languages."""
    best = NO
    for table in sentence.tables:
        found = _classify(sentence, table)
        if found.confidence == "yes":
            return found
        if found.confidence == "doubt" and best.confidence == "no":
            best = found
    return best


def _classify(sentence: Sentence, table: Table) -> Classification:
    plain = sentence.plain

    def has(name: str) -> bool:
        return table.find(name, plain) is not None

    def about() -> bool:
        return any(has(f"slot.{name}") for name in table.slots)

    alone, strong, habit = has("alone"), [name for name in _STRONG if has(name)], has("habit")
    told = has("ask") or (has("act") and (bool(strong) or about()))
    if not (alone or strong or habit or has("always")):
        doubtful = told and about() and not has("not_asked") and not has("subject")
        return Classification("doubt", table) if doubtful else NO
    start, clause = _begin(plain, table)
    guards = [
        has("not_asked"),
        not alone and table.find("subject", plain[clause:].lstrip(" ,")) is not None,
        not alone and sentence.asks and not has("request"),
    ]
    if any(guards):
        # A single guard may be wrong if the instruction is otherwise clear.
        return Classification("doubt", table, start) if sum(guards) == 1 and strong and told else NO
    if alone or told or about():
        certain = alone or habit or strong or told or has("wish")
        return Classification("yes" if certain else "doubt", table, start)
    bare = bool(set(strong) & {"durable", "each"})
    return Classification("yes", table, start) if bare else Classification("doubt", table, start) if strong else NO


_STRONG = ("durable", "each", "here", "until", "counted", "spanned", "when")
_PAUSE = regex.compile(r"\s*[;–—]\s*|:\s+|\s-\s")
_COMMA = regex.compile(r",\s+")
_CUES = (*_STRONG, "always", "alone", "habit", "wish")


def _begin(plain: str, table: Table) -> tuple[int, int]:
    """Return where the instruction begins, and the clause with its first cue. Earlier clauses belong to the instruction
    unless they are unrelated. 0: at the beginning of the sentence.
    """
    cues = [match.start() for name in _CUES if (match := table.find(name, plain))]
    if not cues:
        return 0, 0
    first = min(cues)
    parts = [match.span() for match in _PAUSE.finditer(plain, 0, first + 1)] + table.spans("joint", plain, first + 1)
    commas = [match.span() for match in _COMMA.finditer(plain, 0, first + 1) if match.end() == first]
    parts = [(start, end) for start, end in parts if end <= first]
    clause = max((end for _, end in (*parts, *commas)), default=0)
    parts += [(start, end) for start, end in commas if len(plain[:start].split()) > 1]
    fitting = [end for start, end in parts if _says_nothing(plain[:start], table)]
    return max(fitting, default=0), clause


def _says_nothing(plain: str, table: Table) -> bool:
    """Whether the words before a clause are unrelated to the instruction."""
    if any(table.find(name, plain) for name in ("ask", "wish")):
        return False
    return bool(plain.strip(" ,")) and not any(table.find(f"slot.{name}", plain) for name in table.slots)
