"""Cutting a text: the longest beginning that fits, between words where there are any."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable


def longest_fit(shortest: int, longest: int, fits: Callable[[int], bool]) -> int:
    """The largest length in [shortest, longest] that fits, by bisection; `shortest` itself isn't tried. What is shorter
    than something that fits should fit."""
    while shortest < longest:
        middle = (shortest + longest + 1) // 2
        shortest, longest = (middle, longest) if fits(middle) else (shortest, middle - 1)
    return shortest


def word_boundary(text: str, start: int, end: int) -> int:
    """Where to cut text[start:end] so that no word is cut, or where that would cost more than half of it, so that at
    least no character as a reader sees it is."""
    for at in range(end, start + (end - start) // 2, -1):
        if at < len(text) and text[at].isspace():
            return at
    while end > start + 1 and end < len(text) and _joined(text[end - 1], text[end]):
        end -= 1
    return end


def _joined(before: str, after: str) -> bool:
    """True inside a combined character: accents, variation selectors, emoji sequences."""
    joiner = "\u200d"
    modifier = "\U0001f3fb" <= after <= "\U0001f3ff"
    return joiner in (before, after) or modifier or unicodedata.category(after)[0] == "M"
