"""Truncating a text to the longest beginning that fits, between words if possible."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable


def longest_fit(shortest: int, longest: int, fits: Callable[[int], bool]) -> int:
    """Return the largest length in [shortest, longest] that fits, by bisection; `shortest` itself isn't tried. Assumes
    that everything shorter than a fitting length fits.
    """
    while shortest < longest:
        middle = (shortest + longest + 1) // 2
        shortest, longest = (middle, longest) if fits(middle) else (shortest, middle - 1)
    return shortest


def word_boundary(text: str, start: int, end: int) -> int:
    """Return where to cut text[start:end] so that no word is cut; if that would cost more than half of it, so that at
    least no grapheme is cut.
    """
    for at in range(end, start + (end - start) // 2, -1):
        if at < len(text) and text[at].isspace():
            return at
    while end > start + 1 and end < len(text) and _joined(text[end - 1], text[end]):
        end -= 1
    return end


def _joined(before: str, after: str) -> bool:
    """Whether a position is inside a grapheme: accents, variation selectors, emoji sequences."""
    joiner = "\u200d"
    modifier = "\U0001f3fb" <= after <= "\U0001f3ff"
    return joiner in (before, after) or modifier or unicodedata.category(after)[0] == "M"
