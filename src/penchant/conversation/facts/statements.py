"""Finds sentences in a user's turn that say something lasting about the user."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from penchant.conversation.attribution import others_words, overlaps
from penchant.conversation.facts.claims import Claim, claim_of
from penchant.conversation.facts.languages import Language, Topic, languages
from penchant.history.records import Record
from penchant.history.segmentation import segment_record
from penchant.text.terms import split_words

_PLAIN = str.maketrans({"’": "'", "‘": "'", "\u00a0": " ", "\u202f": " "})
_CLAUSE = re.compile(r"\s*(?:[,;:–—]|\s-\s|\.\.\.|…)\s*")
_ABBREVIATED = re.compile(r"\b(?:dr|dra|mr|mrs|ms|mme|prof|st|sr|sra|dott|sig|hr|fr)\.\Z", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")
_INITIAL = re.compile(r"[^\W\d_]{1,4}\.$")
_PARTICLES = frozenset(
    [
        "de",
        "da",
        "di",
        "del",
        "della",
        "la",
        "le",
        "les",
        "der",
        "den",
        "van",
        "von",
        "zu",
        "am",
        "an",
        "upon",
        "saint",
        "st",
        "el",
        "al",
        "los",
        "las",
        "sur",
    ]
)
_LONGEST = 600  # characters; anything longer isn't a statement


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement. text: characters [start, end) of the turn. about: its topic ("residence", "dentist", "favourite
    film"; "sister" for "My sister ..."), None if none is recognised; a qualifier makes another topic ("doctor (eye)",
    "employer (weekend)"). value: normalised ("leipzig"), if only one can be true at a time. ended: it says that
    something is over. claim: what it claims or denies, in words.
    """

    text: str
    start: int
    end: int
    about: str | None = None
    value: str | None = None
    ended: bool = False
    claim: Claim | None = None


def statements(
    text: str, *, language: str | None = None, skip: Sequence[tuple[int, int]] = ()
) -> tuple[Statement, ...]:
    """Return the statements in a user's turn, in order. No model runs.

    language: ISO 639-1 code of the patterns to use (None, or one without patterns: all of them). skip: characters
    [start, end) that are something else, such as instructions; sentences that overlap them are ignored, and so are
    others' words (`others_words`). Questions, requests, conditions, small talk and remarks about the conversation
    itself aren't statements. In "I'm vegetarian, what can I cook?" the part before the question is one.
    """
    told = languages().get(language or "")
    tried = (told,) if told else tuple(languages().values())
    plain = text.translate(_PLAIN)
    others = others_words(text)
    found: list[Statement] = []
    before = 0
    for start, end in _sentences(text, language):
        before, last = start, before
        if joke := next(filter(None, (one.pattern("joke").search(plain, start, end) for one in tried)), None):
            if not _WORD.search(plain, joke.end(), end):  # "I'm the king of Spain. Just kidding!"
                found = [one for one in found if one.start < last]
        elif all(end <= a or b <= start for a, b in skip) and not overlaps(others, start, end):
            found += _read(text, plain, start, end, tried)
    return tuple(found)


def claim_in(sentence: str, language: Language) -> Claim | None:
    """Return what a sentence or clause claims, whether or not it is a lasting statement; None if it has no words to
    compare.
    """
    plain = sentence.translate(_PLAIN)
    return claim_of(plain, language, _about(plain, language)[3])


def _sentences(text: str, language: str | None) -> Iterator[tuple[int, int]]:
    """Yield the trimmed sentences, with "Dr." and the following name kept together."""
    if not text.strip():
        return
    meta = {"lang": language} if language else {}
    joined: list[tuple[int, int]] = []
    for piece in segment_record(Record(text, id="turn", meta=meta), 0, "sentence"):
        last = joined[-1] if joined else (0, 0)
        if _ABBREVIATED.search(text, *last) and "\n" not in text[last[1] : piece.start]:
            joined[-1] = (last[0], piece.end)
        else:
            joined.append((piece.start, piece.end))
    for start, end in joined:
        at = start
        for line in text[start:end].split("\n"):
            if line.strip():
                yield at + len(line) - len(line.lstrip()), at + len(line.rstrip())
            at += len(line) + 1


def _read(text: str, plain: str, start: int, end: int, tried: Sequence[Language]) -> Iterator[Statement]:
    """Return the statement in one sentence, if there is one."""
    if end - start > _LONGEST:
        return
    sentence = plain[start:end]
    if "?" in sentence or "¿" in sentence:
        cuts = [
            m.start() for m in _CLAUSE.finditer(sentence, 0, sentence.index("?") if "?" in sentence else len(sentence))
        ]
        if not cuts:
            return
        end = start + cuts[-1]
        sentence = plain[start:end]
        if "¿" in sentence:
            return
    spoken = frozenset(_WORD.findall(sentence.lower()))
    for language in tried:
        if (not language.hints or spoken & language.hints) and _says(sentence, language):
            about, value, ended, subject = _about(sentence, language)
            yield Statement(text[start:end], start, end, about, value, ended, claim_of(sentence, language, subject))
            return


def _says(sentence: str, language: Language) -> bool:
    if language.pattern("opens").match(sentence) or language.pattern("never").search(sentence):
        return False
    starts = [m.start() for name in ("says", "mine") if (m := language.pattern(name).search(sentence))]
    starts += [m.start() for topic in language.topics if (m := topic.says.search(sentence)) and _meant(topic, m)]
    before = language.pattern("before").search(sentence)
    return bool(starts) and (before is None or min(starts) < before.start())


def _about(sentence: str, language: Language) -> tuple[str | None, str | None, bool, str]:
    """Return topic, value, whether it is over, and the subject ("" for the user)."""
    noun, subject = _noun(language.pattern("mine").search(sentence), language), ""
    if whose := language.pattern("whose").search(sentence):
        says = language.pattern("says").search(sentence)
        if says is None or whose.start(1) < says.start():
            subject = _noun(whose, language)
    for topic in language.topics:
        match = topic.says.search(sentence)
        if match and _meant(topic, match):
            groups = match.groupdict()
            role = (groups.get("role") or "").lower()
            about = topic.about.format(role=language.roles.get(role) or language.stem(role))
            if made := _qualifiers(sentence, groups, language):
                about += f" ({', '.join(made)})"
            taken = groups.get("value")
            value = (
                _value(taken, sentence, topic, language)
                if taken and not language.pattern("also").search(sentence)
                else None
            )
            return about, value, topic.ended, subject
    return noun or None, None, False, subject


def _noun(match: re.Match[str] | None, language: Language) -> str:
    return language.stem(next(group for group in match.groups() if group).lower()) if match else ""


def _qualifiers(sentence: str, groups: dict[str, str | None], language: Language) -> list[str]:
    """Return what makes another fact of a topic: whose it is, what kind, and when."""
    told = split_words(f"{groups.get('kin') or ''} {groups.get('kind') or ''}".lower())
    words = [language.stem(word) for word in told if not language.is_neutral(word)]
    words += [key for key, phrase in language.qualifiers if phrase.search(sentence)]
    return list(dict.fromkeys(words))


def _meant(topic: Topic, match: re.Match[str]) -> bool:
    return not topic.among or match["value"].lower() in topic.among


def _value(taken: str, sentence: str, topic: Topic, language: Language) -> str | None:
    """Return the words of the value, in lower case; None if they don't name one."""
    parts = taken.split()
    while parts and parts[0].lower() in language.articles:
        parts = parts[1:]
    kept: list[str] = []
    named = topic.proper and sentence != sentence.lower()
    for word in parts:
        bare = word.strip(".,\"'").lower()
        if named and not (word[:1].isupper() or word[:1].isdigit() or (kept and bare in _PARTICLES)):
            break
        if kept and bare in language.cut and not (named and word[:1].isupper()):
            break
        kept.append(word)
        if word.endswith(".") and not _INITIAL.match(word):
            break
    while kept and kept[-1].lower() in _PARTICLES:
        kept.pop()
    value = " ".join(split_words(" ".join(kept[:5])))
    # Characters without a glyph can't be displayed as a value.
    return value if value and value.isprintable() else None
