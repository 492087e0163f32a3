"""The cues of others' words, one TOML file per language. A turn is matched against all of them: a request in one
language often comes with a text in another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from penchant.text.phrases import compile_phrases, read_languages

FOLDER = Path(__file__).parent
PHRASES = (
    "material",
    "dreamt",
    "supposed",
    "heading",
    "roles",
    "back",
    "closing",
    "salutation",
    "wrote",
    "header",
    "own_label",
)
FIELDS = (*PHRASES, "words", "examples")
"""docs/methods/attribution.md says what each is for."""


@dataclass(frozen=True)
class Cues:
    """A pattern per field, of all languages together. They are matched on text with straight apostrophes."""

    patterns: Mapping[str, re.Pattern[str]]

    def __getitem__(self, field: str) -> re.Pattern[str]:
        return self.patterns[field]


def languages() -> Mapping[str, Mapping[str, Any]]:
    """Read all languages of `FOLDER`, by code. Raises `InputError` for an invalid file."""
    return _read(FOLDER)


def cues() -> Cues:
    """Return the cues of all languages. Raises `InputError` for an invalid file."""
    return _compiled(FOLDER)


@cache
def _read(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    return read_languages(folder, FIELDS)


@cache
def _compiled(folder: Path) -> Cues:
    tables = _read(folder).values()
    return Cues({field: _any(table, field) for field in PHRASES for table in [tuple(tables)]})


def _any(tables: tuple[Mapping[str, Any], ...], field: str) -> re.Pattern[str]:
    one_by_one = [compile_phrases(table[field], table.get("words", {})).pattern for table in tables if field in table]
    return re.compile("|".join(f"(?:{pattern})" for pattern in one_by_one) or r"(?!)", re.IGNORECASE)
