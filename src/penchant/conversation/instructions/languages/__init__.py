"""The cues of instructions, one TOML file per language."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from penchant.text.language import spoken
from penchant.text.phrases import compile_phrases, read_languages

FOLDER = Path(__file__).parent
CUES = (
    *("durable", "always", "each", "here", "until", "counted", "spanned", "when"),
    *("ask", "act", "wish", "alone", "habit", "request", "not_asked", "subject"),
    *("everything", "over", "release", "negated", "joint", "said", "tomorrow", "whole"),
)
"""Fields that hold phrases; docs/methods/instructions.md says what each is for."""
SLOTS = (
    *("address", "formality", "ending", "opening", "words", "format", "code", "language", "units", "case", "emoji"),
    *("punctuation", "length", "sources", "level", "persona", "tone"),
)
"""What an instruction may regulate."""
FIELDS = (*CUES, "slots", "general", "stops", "polite", "weekdays", "months", "numbers", "units", "words", "examples")


@dataclass(frozen=True)
class Table:
    """The cues of one language; every field is optional in its file. They are matched on text with quotations blanked
    out and straight apostrophes.
    """

    code: str
    data: Mapping[str, Any]
    _compiled: dict[str, re.Pattern[str] | None] = field(default_factory=dict, repr=False, compare=False)

    def listed(self, name: str) -> tuple[str, ...]:
        """Return the words of a field as written."""
        return tuple(self.data.get(name, ()))

    @property
    def slots(self) -> tuple[str, ...]:
        """Return the slots in the order in which they are tried."""
        return tuple(self.data.get("slots", ()))

    def number(self, word: str) -> int | None:
        """Return the number that a word or digits represent."""
        if word.isdecimal() and len(word) < 7:
            return int(word)
        value: int | None = self.data.get("numbers", {}).get(word)
        return value

    def unit(self, word: str) -> str | None:
        """Return minutes, hours, days, weeks or months."""
        named = (
            unit for unit, words in self.data.get("units", {}).items() if {word, word.removesuffix("s")} & {*words}
        )
        return next(named, None)

    def find(self, name: str, text: str, start: int = 0) -> re.Match[str] | None:
        """Return the first match of a field's phrases; for a slot, the field is "slot.NAME"."""
        pattern = self._pattern(name)
        return pattern.search(text, start) if pattern else None

    def without(self, name: str, text: str) -> str:
        """Return a text without a field's phrases."""
        pattern = self._pattern(name)
        return pattern.sub(" ", text) if pattern else text

    def spans(self, name: str, text: str, end: int) -> list[tuple[int, int]]:
        """Return where a field's phrases occur before a character."""
        pattern = self._pattern(name)
        return [match.span() for match in pattern.finditer(text, 0, end)] if pattern else []

    def _pattern(self, name: str) -> re.Pattern[str] | None:
        if name not in self._compiled:
            slot = name.removeprefix("slot.")
            phrases = self.data.get("slots", {}).get(slot, ()) if slot != name else self.data.get(name, ())
            if phrases and name in ("over", "joint"):
                phrases = [self._framed(name, "|".join(phrases))]
            self._compiled[name] = compile_phrases(phrases, self.data.get("words", {})) if phrases else None
        return self._compiled[name]

    def _framed(self, name: str, phrase: str) -> str:
        """Extend a pattern. over: with nothing but polite words around it; joint: with white space, and a comma before
        it.
        """
        if name == "joint":
            return rf",?\s+\b(?:{phrase})\b\s+"
        polite = "|".join(map(re.escape, self.listed("polite"))) or r"(?!)"
        return rf"^(?:(?:{polite})\b|[\s,.¡])*(?:{phrase})(?:[\s,]*(?:{polite})\b)*\s*[.!]*$"


def tables() -> Mapping[str, Table]:
    """Read all languages of `FOLDER`, by code. Raises `InputError` for an invalid file."""
    return _read(FOLDER)


@cache
def _read(folder: Path) -> Mapping[str, Table]:
    return {code: Table(code, data) for code, data in read_languages(folder, FIELDS).items()}


def tables_for(plain: str) -> Sequence[Table]:
    """Return the tables of the languages that a sentence may be in. plain: the sentence with quotations blanked out."""
    return spoken(plain.replace("_", ""), tables())


__all__ = ["Table", "tables", "tables_for"]
