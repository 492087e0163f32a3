"""Recognises a text that has begun to repeat itself, while it is written."""

from __future__ import annotations

from collections import Counter, deque

import regex

from penchant.text.terms import UNSPACED

_UNIT = regex.compile(rf"{UNSPACED}|\d+|[^\W\d_]{{1,16}}|[^\w \t\r\f\v]|_+")
_LEAST = 40
"""Units that a cycle must repeat at least, whatever its length."""
_LEAST_WITHOUT_WORDS = 400
"""The same for cycles without words: zeros of a matrix, rules of a table."""
_LONGEST = 250
"""Units of the longest cycle that is looked for."""
_GRAM = 12
_OFTEN = 3
"""A run of `_GRAM` units that stood this often before is stale."""
_WINDOW, _STALE = 120, 94
"""So many of the last units may be the end of stale runs."""
_WORDS = 4
"""One of so many units must be a word; otherwise it is a table or a matrix that is repeated."""


class Repetition:
    """Reads a text piece by piece, and knows whether it repeats itself.

    A unit is a word, a number, a sign or a line break. A text repeats itself if its end is a cycle: a stretch of up to
    250 units, again and again (a numbered list whose items are the same counts, too), or if most of its last
    120 units stand in runs of 12 that were there three times before. How often a cycle must be repeated depends on its
    length: a refrain may come four times, a paragraph twice. Texts in which repetition is the point pass: poems with
    refrains, tables, code, lists (measured in docs/guides/chat.md).
    """

    def __init__(self) -> None:
        self.found = False
        self._rest = ""
        self._exact, self._numbered = _Cycles(), _Cycles()
        self._grams: Counter[int] = Counter()
        self._last: deque[str] = deque(maxlen=_GRAM)
        self._stale: deque[bool] = deque(maxlen=_WINDOW)
        self._words: deque[bool] = deque(maxlen=_WINDOW)

    def add(self, piece: str) -> bool:
        """Read the next piece; return whether the text repeats itself by now."""
        text = self._rest + piece
        ends = [match.span() for match in _UNIT.finditer(text)]
        # The last unit may go on in the next piece.
        keep = ends[-1][0] if ends and ends[-1][1] == len(text) else len(text)
        for start, end in ends:
            if start < keep and not self.found:
                self.found = self._unit(text[start:end].lower())
        self._rest = text[keep:]
        return self.found

    def _unit(self, unit: str) -> bool:
        self._last.append(unit)
        if len(self._last) == _GRAM:
            gram = hash(tuple(self._last))
            self._stale.append(self._grams[gram] >= _OFTEN)
            self._grams[gram] += 1
        number, word = unit[0].isdigit(), unit[0].isalpha()
        self._words.append(word)
        exact = self._exact.add(unit, word)
        # A list whose items differ in their numbers alone needs more words in an item than a table of figures has.
        numbered = self._numbered.add("0" if number else unit, word, least_words=8)
        return exact or numbered or (sum(self._stale) >= _STALE and _WORDS * sum(self._words) >= _WINDOW)


class _Cycles:
    """Follows how long each period has held: every unit equals the one a period before."""

    def __init__(self) -> None:
        self._places: dict[str, deque[int]] = {}
        self._runs: dict[int, tuple[int, int]] = {}  # period -> units and words that it has held for
        self._count = 0

    def add(self, unit: str, word: bool, least_words: int = 1) -> bool:
        places = self._places.setdefault(unit, deque())
        while places and self._count - places[0] > _LONGEST:
            places.popleft()
        runs = {}
        for place in places:
            units, words = self._runs.get(self._count - place, (0, 0))
            runs[self._count - place] = units + 1, words + word
        self._runs = runs
        places.append(self._count)
        self._count += 1
        # A period's multiples hold, too: the smallest one is the cycle.
        period = min((period for period, (units, _) in runs.items() if units >= _LEAST), default=None)
        return period is not None and _repeated(period, *runs[period], least_words)


def _repeated(period: int, units: int, words: int, least_words: int) -> bool:
    """Whether a cycle of `period` units that was repeated for `units` units, `words` of them words, is a loop."""
    worded = words * period >= least_words * units and _WORDS * words >= units
    return units >= (max(_LEAST, min(3 * period, 60 + period)) if worded else max(_LEAST_WITHOUT_WORDS, 2 * period))


def repeats(text: str) -> bool:
    """Whether a whole text ends in a loop, or had one."""
    return Repetition().add(text)
