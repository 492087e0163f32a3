"""Whether a sentence is a standing instruction, by the patterns of its language (`verdict`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import regex

from penchant.memory.detection.languages import TABLES, Table
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
    for table in TABLES.values():
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

    start = _begin(plain, table)
    rest = plain[start:]
    strong = any(has(name) for name in ("durable", "each", "here", "rules", "until", "counted", "spanned", "when"))
    weak = has("always")
    about = any(has(f"slot.{name}") for name in table.slots)
    told = table.find("verb", rest) is not None
    alone, habit = has("alone"), has("habit") and about
    wished = has("wish") and (has("each") or about)
    if not (strong or weak or alone or has("habit")):
        return Verdict("doubt", table, start) if told and about and has("please") and not has("once") else NO
    if not (told or about or alone):
        return NO
    guards = [name for name in ("once", "artefact", "reported", "unless") if has(name)]
    if table.find("subject", rest.lstrip(" ,")) and not alone:
        guards.append("subject")
    if sentence.asks and not has("request") and not alone:
        guards.append("asks")
    if guards:
        return Verdict("doubt", table, start) if guards == ["once"] and has("durable") else NO
    certain = (
        alone or habit or has("habit") or (strong and (told or about)) or (weak and (told or wished or has("please")))
    )
    return Verdict("yes" if certain else "doubt", table, start)


_COMMA = regex.compile(r",\s+")
_CUES = ("durable", "always", "each", "here", "rules", "until", "counted", "spanned", "when", "alone", "habit")


def _begin(plain: str, table: Table) -> int:
    """Where the clause with the first cue begins; 0: with the sentence."""
    cues = [match.start() for name in (*_CUES, "wish") if (match := table.find(name, plain))]
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
