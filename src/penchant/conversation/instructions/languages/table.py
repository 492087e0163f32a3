"""The patterns of one language (`Table`). They are matched without regard to case, on text whose quotations are blanked
out and whose apostrophes are straight."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

Patterns = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """durable: "from now on"; always: "always", "never", which facts and single tasks use too; each: "every answer";
    here: "in this chat", "for now"; rules: what heads a list of instructions; until: a clause that ends an instruction;
    counted: for so many answers, number in the group "n"; spanned: for so long, number and "unit"; when: "whenever I".

    verb: an imperative about answering, or "you must"; act: any other imperative, "let's"; wish: "I'd like"; please:
    says that something is asked for; alone: needs nothing else to stand ("call me"); habit: "no more", "stop ...ing",
    which also end an instruction; opinion: "I hate", in a sentence before.

    request: a question that asks for something; once: for one answer; artefact: a text to be made, which the words are
    about; reported: somebody said so; subject: the clause tells of somebody; unless: "if I asked you to"; finite: a
    verb that tells rather than asks.

    all_over, over: end every instruction, the newest; release: end the one that is named.
    slots: what an instruction is about, in the order they are tried. negated: what it forbids.
    numbers, weekdays, months, days, tomorrow, units: how the ends of instructions are written. said: "until I say X",
    X in the group "x"; stops: words that are X, when X is only "to stop". polite: words that may stand around X.
    joint: what parts a clause from the one before it. common: function words, which tell the language.
    """

    durable: Patterns
    always: Patterns
    each: Patterns
    here: Patterns
    rules: Patterns
    until: Patterns
    counted: Patterns
    spanned: Patterns
    when: Patterns
    verb: Patterns
    act: Patterns
    wish: Patterns
    please: Patterns
    alone: Patterns
    habit: Patterns
    opinion: Patterns
    request: Patterns
    once: Patterns
    artefact: Patterns
    reported: Patterns
    subject: Patterns
    unless: Patterns
    finite: Patterns
    all_over: Patterns
    over: Patterns
    release: Patterns
    negated: Patterns
    joint: Patterns
    said: Patterns
    slots: Mapping[str, Patterns]
    common: frozenset[str]
    stops: frozenset[str]
    polite: frozenset[str]
    numbers: Mapping[str, int]
    weekdays: tuple[str, ...]
    months: tuple[str, ...]
    tomorrow: str
    units: Mapping[str, str]

    @cached_property
    def compiled(self) -> dict[str, re.Pattern[str]]:
        """Field name -> one pattern for all alternatives; of slots "slot.NAME"."""
        fields = {name: value for name, value in vars(self).items() if isinstance(value, tuple)}
        fields |= {f"slot.{name}": value for name, value in self.slots.items()}
        fields["tomorrow"] = (self.tomorrow,)
        return {name: re.compile("|".join(value), re.IGNORECASE) for name, value in fields.items() if value}

    def find(self, name: str, text: str, start: int = 0) -> re.Match[str] | None:
        """The first match of a field's patterns."""
        return self.compiled[name].search(text, start)
