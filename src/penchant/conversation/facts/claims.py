"""What a statement claims and what it denies, as words: "I don't smoke any more" ends "I smoke about ten a day"."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from penchant.conversation.facts.languages import Language

HAVE = "have"
"""The key of `alike` for words of having: alone they say nothing."""
_CLAUSE = re.compile(r"[,;:.!?–—]|\s-\s|…")
_LONGEST = 12  # words; a longer claim is hardly ever repeated

Words = frozenset[str]


@dataclass(frozen=True, slots=True)
class Claim:
    """The polarity of a statement. words: what it says, normalised, with one word "@..." for the subject: "@" for the
    user, "@brother" for the user's brother, "@have" for what somebody has. Empty if the statement denies anything.
    over: what is no longer true, each as words. denies: what isn't true, without a word of a change. again: something
    has begun, or has begun again.
    """

    words: Words = frozenset()
    over: tuple[Words, ...] = ()
    denies: tuple[Words, ...] = ()
    again: bool = False

    def meta(self) -> dict[str, Any]:
        """Return the claim as JSON, without what is empty."""
        made: dict[str, Any] = {
            "words": " ".join(sorted(self.words)),
            "over": [" ".join(sorted(words)) for words in self.over],
            "denies": [" ".join(sorted(words)) for words in self.denies],
            "again": self.again,
        }
        return {key: found for key, found in made.items() if found}


def claim_of(sentence: str, language: Language, subject: str = "") -> Claim | None:
    """Return what a sentence claims, with plain apostrophes; None if it has no words to compare.

    A clause with a phrase of `over` or `not` denies its words; an elliptic one ("I used to smoke, but I've stopped")
    those of the clause before. What others do or don't do is no denial.
    """
    said: list[str] = []
    over: list[list[str]] = []
    denies: list[list[str]] = []
    before: list[str] = []
    for clause in _clauses(sentence, language):
        left, ends = language.pattern("over").subn(" ", clause)
        words = language.content(left)
        if language.pattern("others").search(clause):
            said += words
        elif ends:
            over.append(words or before)
        elif language.pattern("not").search(clause):
            denies.append(words)
        else:
            said += words
        before = words or before
    if denies and language.pattern("hedge").search(sentence):
        return None
    positive = not over and not denies

    def made(some: Iterable[list[str]], whose: str = subject) -> tuple[Words, ...]:
        return tuple(filter(None, (_words(one, language, whose) for one in some)))

    claim = Claim(
        next(iter(made([said])), frozenset()) if positive else frozenset(),
        made(over) + (() if denies else made(language.excluded(sentence), "")),
        made(denies),
        bool(language.pattern("again").search(sentence)),
    )
    return claim if claim.words or claim.over or claim.denies else None


def _words(content: list[str], language: Language, subject: str) -> Words:
    """Return the words of a claim; none if they can't tell it from others."""
    words = frozenset(content)
    if not words - {HAVE} or len(words) > _LONGEST:
        return frozenset()
    return words | {"@" + "+".join(filter(None, (subject, *sorted(language.apart & words))))}


def _clauses(sentence: str, language: Language) -> list[str]:
    return [
        part for clause in _CLAUSE.split(sentence) for part in language.pattern("clause").split(clause) if part.strip()
    ]
