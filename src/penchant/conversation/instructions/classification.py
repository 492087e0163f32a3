"""Whether a sentence is a standing instruction, by the patterns of its language (`verdict`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import regex

from penchant.conversation.instructions.languages import Table
from penchant.conversation.instructions.sentences import Sentence

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

    alone, strong, habit = has("alone"), [name for name in _STRONG if has(name)], has("habit")
    told = has("verb") or (has("act") and (bool(strong) or about()))
    if not (alone or strong or habit or has("always")):
        doubtful = told and about() and not any(map(has, (*_GUARDS, "subject")))
        return Verdict("doubt", table) if doubtful else NO
    start, clause = _begin(plain, table)
    guards = [name for name in _GUARDS if has(name)]
    if not alone and table.find("subject", plain[clause:].lstrip(" ,")):
        guards.append("subject")
    if not alone and sentence.asks and not has("request"):
        guards.append("asks")
    if guards:
        # One guard may err where an instruction is otherwise plain.
        return Verdict("doubt", table, start) if len(guards) == 1 and strong and told else NO
    if alone or told or about():
        certain = alone or habit or strong or told or has("please") or has("wish")
        return Verdict("yes" if certain else "doubt", table, start)
    bare = bool(set(strong) & {"durable", "each", "rules"}) and not has("finite")
    return Verdict("yes", table, start) if bare else Verdict("doubt", table, start) if strong else NO


_GUARDS = ("once", "artefact", "reported", "unless")
_STRONG = ("durable", "each", "here", "rules", "until", "counted", "spanned", "when")
_COMMA = regex.compile(r",\s+")
_CUES = (*_STRONG, "always", "alone", "habit", "wish")


def _begin(plain: str, table: Table) -> tuple[int, int]:
    """Where the instruction begins, and the clause with its first cue: what comes before that clause belongs to the
    instruction, unless it says nothing of it. 0: with the sentence."""
    cues = [match.start() for name in _CUES if (match := table.find(name, plain))]
    if not cues:
        return 0, 0
    first = min(cues)
    parts = [match.span() for match in table.compiled["joint"].finditer(plain, 0, first + 1)]
    commas = [match.span() for match in _COMMA.finditer(plain, 0, first + 1) if match.end() == first]
    parts = [(start, end) for start, end in parts if end <= first]
    clause = max((end for _, end in (*parts, *commas)), default=0)
    parts += [(start, end) for start, end in commas if len(plain[:start].split()) > 1]
    fitting = [end for start, end in parts if _says_nothing(plain[:start], table)]
    return max(fitting, default=0), clause


def _says_nothing(plain: str, table: Table) -> bool:
    """Whether words before a clause have no part in an instruction."""
    if any(table.find(name, plain) for name in ("verb", "wish", "please")):
        return False
    return bool(plain.strip(" ,")) and not any(table.find(f"slot.{name}", plain) for name in table.slots)
