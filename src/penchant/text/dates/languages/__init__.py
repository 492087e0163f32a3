"""The words of dates, one TOML file per language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from penchant.text.phrases import compile_phrases, read_languages

FOLDER = Path(__file__).parent
PHRASES = ("dates", "bare", "seasons", "past", "previous", "first", "last", "asks")
PREFIXES = ("between", "before", "by", "after", "shift")
FIELDS = (*PHRASES, *PREFIXES, "and", "months", "weekdays", "means", "numbers", "season", "units", "words")
"""docs/methods/markers.md says what each is for."""
OWN = {
    "day": r"\b(?:0?[1-9]|[12]\d|3[01])",
    "year": r"(?:19|20)\d\d\b",
    # What 2,000 may be a number of; in all languages, because "in 2000" is a date in most.
    "things": r"(?:words?|characters?|tokens?|steps?|people|pages?|lines?|points?|euros?|dollars?|pounds|miles|m|km|kg"
    r"|met(?:er|re)s?|wörtern?|zeichen|schritten?|leuten?|seiten|zeilen|metern?|mots|caractères|pas|personnes|lignes"
    r"|mètres|palabras|caracteres|pasos|personas|páginas|líneas|parole|caratteri|passi|persone|pagine|righe|metri)\b",
}
NUMERIC = re.compile(r"\b(?:(?:19|20)\d\d-\d\d?-\d\d?|\d\d?(?P<sep>[./])\d\d?(?P=sep)(?:19|20)\d\d)\b")


@dataclass(frozen=True)
class Language:
    """The words of one language; every field is optional in its file."""

    code: str
    data: Mapping[str, Any]

    def phrases(self, name: str) -> list[re.Pattern[str]]:
        """Return the compiled phrases of a field, each by itself: they share the names of their groups."""
        if name not in self._phrases:
            self._phrases[name] = [self._compile([one]) for one in _listed(self.data.get(name, ()))]
        return self._phrases[name]

    def ends(self, name: str) -> re.Pattern[str]:
        """Return the phrases of a field, compiled to match at the end of what stands before a date."""
        if name not in self._ends:
            self._ends[name] = self._compile([rf"(?<!\w)(?:{'|'.join(_listed(self.data.get(name, ('(?!)',))))})\s*$"])
        return self._ends[name]

    @cached_property
    def joins(self) -> re.Pattern[str]:
        """What stands between the two ends of a period ("from March to May")."""
        return re.compile(rf"\s*(?:{'|'.join(_listed(self.data.get('and', ())))})\s*", re.IGNORECASE)

    @cached_property
    def means(self) -> list[tuple[re.Pattern[str], str, str | None]]:
        """Expressions that the date parser doesn't know, what they mean in its words, and the period of that."""
        return [(self._compile([one["says"]]), one["as"], one.get("period")) for one in self.data.get("means", ())]

    @cached_property
    def _number_words(self) -> list[tuple[int, re.Pattern[str]]]:
        return [(int(value), self._compile(words)) for value, words in self.data.get("numbers", {}).items()]

    def in_digits(self, text: str) -> str:
        """Write small numbers as digits: not every language of the date parser knows the words."""
        for value, words in self._number_words:
            text = words.sub(str(value), text)
        return text

    def key(self, table: str, word: str) -> str | None:
        """Return the key of a table under which a word is listed."""
        found = (key for key, words in self.data.get(table, {}).items() if word.lower() in words)
        return next(found, None)

    @cached_property
    def _phrases(self) -> dict[str, list[re.Pattern[str]]]:
        return {}

    @cached_property
    def _ends(self) -> dict[str, re.Pattern[str]]:
        return {}

    def _compile(self, phrases: Iterable[str]) -> re.Pattern[str]:
        numbers = [word for words in self.data.get("numbers", {}).values() for word in words]
        own = {
            **OWN,
            "month": "|".join(self.data.get("months", ())),
            "weekday": "|".join(self.data.get("weekdays", ())),
            "number": "|".join([r"\d{1,3}", *numbers]),
        }
        return compile_phrases(phrases, {**self.data.get("words", {}), **own})


def languages() -> Mapping[str, Language]:
    """Read all languages of `FOLDER`, by code. Raises `InputError` for an invalid file."""
    return _read(FOLDER)


def _listed(phrases: str | list[str]) -> list[str]:
    return [phrases] if isinstance(phrases, str) else list(phrases)


@cache
def _read(folder: Path) -> Mapping[str, Language]:
    return {code: Language(code, data) for code, data in read_languages(folder, FIELDS).items()}
