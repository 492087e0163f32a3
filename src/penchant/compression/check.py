"""Checks a rewriting against the marked history: nothing invented, nothing negated, enough kept.

It is strict on purpose: refusing a good rewriting costs little (the extractive profile replaces it), an invented fact
about a person costs a lot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import regex

from penchant.text.terms import Terms, language_of, split_words

MIN_COVERAGE = 0.3
SHOWN_WORDS = 5  # how many offending words a reason names


def _words(words: str) -> tuple[str, ...]:
    return tuple(words.split())


# Reporting words without content of their own: a rewriting may add them.
_TELLING = _words(
    "user users mention mentions mentioned say says said note notes noted state states stated describe describes "
    "described write writes wrote written also include includes included history record records request"
)
_NUMBER_WORDS = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion"
)
_NEGATIONS = frozenset(
    _words(
        "no not never none nobody nothing neither nor without cannot cant dont doesnt didnt isnt wasnt arent werent "
        "wont wouldnt couldnt shouldnt hasnt havent hadnt nicht kein keine keinen nie jamais aucun nunca jamás não"
    )
)
_MONTHS = _words("january february march april may june july august september october november december")
_MONTH_NUMBER = {name[:length]: i for i, name in enumerate(_MONTHS, 1) for length in (3, len(name))} | {"sept": 9}

_NUMBER = regex.compile(r"\p{N}+(?:[.,:/\-]\p{N}+)*")
_NAME = regex.compile(r"\p{Lu}[\p{L}\p{M}]+")
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+(?:['’][\p{L}\p{M}]+)*")
_ISO_DATE = regex.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_NAMED_MONTH = r"(?P<month>" + "|".join(sorted(_MONTH_NUMBER, key=len, reverse=True)) + r")\b\.?"
_YEAR = r"(?:,?\s+(?:of\s+)?(?P<year>\d{4})\b)?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_DAY_FIRST = regex.compile(rf"\b{_DAY}\s+(?:of\s+)?{_NAMED_MONTH}{_YEAR}", regex.IGNORECASE)
_MONTH_FIRST = regex.compile(rf"\b{_NAMED_MONTH}\s+{_DAY}(?!\d|[:.]\d){_YEAR}", regex.IGNORECASE)
_SENTENCE_END = regex.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？])|\n+")

Day = tuple[int | None, int, int]
"""(year or None, month, day)"""


@dataclass(frozen=True)
class RewritingCheck:
    """The result of a check. failed: the first check that failed, with the offending words; None if all passed.
    covered: float64 [marked segments], the share of each segment's content words that occur in the rewriting.
    """

    failed: str | None
    covered: npt.NDArray[np.float64]


def check_rewriting(
    text: str,
    source: str,
    segments: Sequence[str],
    weights: npt.NDArray[np.float64],
    *,
    min_coverage: float = MIN_COVERAGE,
) -> RewritingCheck:
    """Check a rewriting against the text that the model was shown.

    source: the history as shown, headers included. segments: the texts of the segments shown. weights: how much each
    counts in the coverage, float64 [segments], >= 0 (0: shown but not expected).

    In this order: dates and numbers, proper names and other content words (by stem; reporting words are exempt) must
    all occur in the source; a sentence must not negate what its nearest segment affirms, or vice versa; and the
    weighted share of content words kept must reach `min_coverage`.
    """
    language = language_of(source)
    terms = Terms(language)

    def stems(words: str) -> set[str]:
        return set(terms(split_words(words)))

    parts = [stems(segment) for segment in segments]
    kept = stems(text)
    covered = np.array([len(part & kept) / len(part) if part else 0.0 for part in parts], dtype=np.float64)
    share = float((covered * weights).sum() / weights.sum()) if len(weights) and weights.sum() > 0 else 1.0
    checks: tuple[tuple[str, Callable[[], Iterable[str]]], ...] = (
        ("dates or numbers that are not in the history", lambda: _new_numbers(text, source)),
        ("names that are not in the history", lambda: _new_names(text, source)),
        ("words that are not in the history", lambda: _new_words(text, stems(source), terms)),
        ("denied or affirmed against the history", lambda: _negation_conflicts(text, segments, stems)),
    )
    for what, offenders in checks:
        words = list(dict.fromkeys(offenders()))
        if words:
            more = f" and {len(words) - SHOWN_WORDS} more" if len(words) > SHOWN_WORDS else ""
            return RewritingCheck(f"{what}: {', '.join(words[:SHOWN_WORDS])}{more}", covered)
    if not kept:
        return RewritingCheck("the rewriting holds no content word", covered)
    if share < min_coverage:
        missed = [s for s, c, w in zip(segments, covered, weights, strict=True) if w > 0 and c < min_coverage]
        example = f": missing {' '.join(missed[0].split())[:60]!r}" if missed else ""
        return RewritingCheck(
            f"only {share:.0%} of the marked content is kept, {min_coverage:.0%} expected{example}", covered
        )
    return RewritingCheck(None, covered)


def sentences(text: str) -> list[str]:
    """Split a model's answer into sentences, at end marks and line breaks."""
    return [s.strip() for s in _SENTENCE_END.split(text) if s and s.strip()]


def _days(text: str) -> list[tuple[Day, str]]:
    found = [((int(m[1]), int(m[2]), int(m[3])), m[0]) for m in _ISO_DATE.finditer(text)]
    dated: list[tuple[Day, str]] = list(found)
    for pattern in (_DAY_FIRST, _MONTH_FIRST):
        for m in pattern.finditer(text):
            year = int(m["year"]) if m["year"] else None
            dated.append(((year, _MONTH_NUMBER[m["month"].lower()], int(m["day"])), m[0]))
    return dated


def _new_numbers(text: str, source: str) -> Iterable[str]:
    known = [day for day, _ in _days(source)]
    rest = text
    for day, written in _days(text):
        if not any(day[1:] == k[1:] and (day[0] is None or day[0] == k[0]) for k in known):
            yield written
        rest = rest.replace(written, " ")
    numbers = {_normalised_number(n) for n in _NUMBER.findall(source)}
    yield from (n for n in _NUMBER.findall(rest) if _normalised_number(n) not in numbers)
    words = set(split_words(source))
    yield from (w for w in split_words(rest) if w in _NUMBER_WORDS and w not in words)


def _normalised_number(number: str) -> str:
    """Normalise thousands separators: 1,000 becomes 1000; 4.50 and 4,50 are unchanged."""
    return str(regex.sub(r",(?=\p{N}{3}(?:\P{N}|$))", "", number))


def _new_names(text: str, source: str) -> Iterable[str]:
    words = {w.casefold() for w in _NAME.findall(source)} | set(split_words(source))
    for sentence in sentences(text):
        for match in _NAME.finditer(sentence):
            opens = not any(c.isalnum() for c in sentence[: match.start()])
            if not opens and match[0].casefold() not in words and not _is_month_of_day(sentence, match[0]):
                yield match[0]


def _is_month_of_day(sentence: str, word: str) -> bool:
    # A month inside a date was checked with it ("8 May" for 2023-05-08).
    return any(word.lower() in written.lower().split() for _, written in _days(sentence))


def _new_words(text: str, known: set[str], terms: Terms) -> Iterable[str]:
    for _, written in _days(text):
        text = text.replace(written, " ")
    free = set(terms(_TELLING))
    for match in _WORD.finditer(text):
        if not match[0].isnumeric() and any(stem not in known | free for stem in terms(split_words(match[0]))):
            yield match[0]


def _negation_conflicts(text: str, segments: Sequence[str], stems: Callable[[str], set[str]]) -> Iterable[str]:
    """Return sentences whose negation differs from that of all segment sentences nearest to them in words."""
    shown = [(s, stems(s)) for segment in segments for s in sentences(segment)]
    for sentence in sentences(text):
        words = stems(sentence)
        # nearest: most words in common, then fewest others
        near = [(len(words & part), -len(part - words), s) for s, part in shown]
        top = max((n[:2] for n in near), default=(0, 0))
        if top[0] and all(_denies(s) != _denies(sentence) for *score, s in near if tuple(score) == top):
            yield repr(sentence[:60])


def _denies(text: str) -> bool:
    words = {regex.sub(r"['’]", "", w.casefold()) for w in _WORD.findall(text)}
    return bool(words & _NEGATIONS)
