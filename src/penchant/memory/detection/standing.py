"""Whether a sentence is a standing instruction, by the patterns of its language (`verdict`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import regex

from penchant.memory.detection.languages import Table
from penchant.memory.detection.sentences import Sentence

Sure = Literal["yes", "doubt", "no"]


@dataclass(frozen=True)
class Verdict:
    """sure: yes; doubt: it has cues of an instruction and of something else; no. table: of the language that decided.
    start: where in the sentence the instruction begins."""

    sure: Sure
    table: Table | None = None
    start: int = 0


NO = Verdict("no")


def verdict(sentence: Sentence) -> Verdict:
    """Of the languages' verdicts the surest."""
    best = NO
    for table in sentence.tables:
        found = _verdict(sentence, table)
        if found.sure == "yes":
            return found
        if found.sure == "doubt" and best.sure == "no":
            best = found
    return best


def _verdict(sentence: Sentence, table: Table) -> Verdict:
    plain = sentence.plain

    def has(name: str) -> bool:
        return table.find(name, plain) is not None

    def about() -> bool:
        return any(has(f"slot.{name}") for name in table.slots)

    alone, strong, habit = has("alone"), any(map(has, _STRONG)), has("habit")
    if not (alone or strong or habit or has("always")):
        doubtful = has("please") and has("verb") and about() and not has("once")
        return Verdict("doubt", table) if doubtful else NO
    start = _begin(plain, table)
    rest = plain[start:]
    told = table.find("verb", rest) is not None
    if not (alone or told or about()):
        return NO
    guards = [name for name in ("once", "artefact", "reported", "unless") if has(name)]
    if not alone and table.find("subject", rest.lstrip(" ,")):
        guards.append("subject")
    if not alone and sentence.asks and not has("request"):
        guards.append("asks")
    if guards:
        return Verdict("doubt", table, start) if guards == ["once"] and has("durable") else NO
    certain = alone or habit or strong or told or has("please") or has("wish")
    return Verdict("yes" if certain else "doubt", table, start)


_STRONG = ("durable", "each", "here", "rules", "until", "counted", "spanned", "when")
_COMMA = regex.compile(r",\s+")
_CUES = (*_STRONG, "always", "alone", "habit", "wish")


def _begin(plain: str, table: Table) -> int:
    """Where the clause with the first cue begins; 0: with the sentence."""
    cues = [match.start() for name in _CUES if (match := table.find(name, plain))]
    if not cues:
        return 0
    first = min(cues)
    parts = [match.span() for match in table.compiled["joint"].finditer(plain, 0, first + 1)]
    commas = [match.span() for match in _COMMA.finditer(plain, 0, first + 1) if match.end() == first]
    parts += [(start, end) for start, end in commas if len(plain[:start].split()) > 1]
    fitting = [(start, end) for start, end in parts if end <= first and _says_nothing(plain[:start], table)]
    return max((end for _, end in fitting), default=0)


def _says_nothing(plain: str, table: Table) -> bool:
    """Whether words before a clause have no part in an instruction."""
    if any(table.find(name, plain) for name in ("verb", "wish", "please")):
        return False
    return bool(plain.strip(" ,")) and not any(table.find(f"slot.{name}", plain) for name in table.slots)
