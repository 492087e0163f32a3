"""Greetings, thanks and goodbyes: a turn of nothing else asks nothing, so nothing of a history belongs beside it."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

_LONGEST = 80
"""In characters; longer turns say something."""


def is_courtesy(text: str) -> bool:
    """Whether a turn holds nothing but greetings, thanks, goodbyes and the like, in English, German, French, Spanish or
    Italian. Punctuation and emoji don't count. An empty turn is none.
    """
    if len(text) > _LONGEST or "?" in text:
        return False
    words = " ".join(re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", text.replace("’", "'").casefold()))
    return bool(words) and not re.search(r"\d", text) and any(one.fullmatch(words) for one in _patterns())


@cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    """Return one pattern for each language."""
    found = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    made = []
    for phrases in found.values():
        one = "|".join(sorted(phrases, key=len, reverse=True))
        made.append(re.compile(rf"(?:(?:{one})(?: |$))+"))
    return tuple(made)
