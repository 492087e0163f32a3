"""The phrases of wishes about what is kept, one TOML file per language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from penchant.text.language import spoken
from penchant.text.phrases import compile_phrases, read_languages

FOLDER = Path(__file__).parent
PHRASES = (
    "off_record",
    "lasting",
    "resume",
    "from_here",
    "forget_that",
    "forget_about",
    "last",
    "mine",
    "have",
    "subject",
    "reported",
)
FIELDS = (*PHRASES, "words", "replies")
"""docs/methods/retention.md says what each is for."""


@dataclass(frozen=True)
class Wishes:
    """The phrases of one language, and what is said to the user. They are matched on text with straight apostrophes."""

    code: str
    patterns: Mapping[str, tuple[re.Pattern[str], ...]]
    replies: Mapping[str, str]

    def find(self, field: str, plain: str) -> re.Match[str] | None:
        """Return the first match of a field's phrases, in their order."""
        return next(filter(None, (pattern.search(plain) for pattern in self.patterns[field])), None)


def languages() -> Mapping[str, Wishes]:
    """Read all languages of `FOLDER`, by code, English first. Raises `InputError` for an invalid file."""
    return _read(FOLDER)


def wishes_for(plain: str) -> tuple[Wishes, ...]:
    """Return the languages that a text may be in, the likeliest alone if one is certain."""
    return spoken(plain, languages())


@cache
def _read(folder: Path) -> Mapping[str, Wishes]:
    return {code: _made(code, table) for code, table in read_languages(folder, FIELDS).items()}


def _made(code: str, table: Mapping[str, Any]) -> Wishes:
    words = table.get("words", {})
    patterns = {field: tuple(compile_phrases([one], words) for one in table.get(field, ())) for field in PHRASES}
    return Wishes(code, patterns, table.get("replies", {}))
