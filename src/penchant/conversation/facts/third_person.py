"""Statements in the first person as sentences about the user: "I live in Bergen" becomes "The user lives in Bergen"."""

from __future__ import annotations

import re
from functools import partial

from penchant.text.language import identify

# A sentence is English for certain if it has one of these; "me" and "my" are words of other languages, too.
_ENGLISH = re.compile(r"\b(?:I|we|our|us|mine|im (?:a|an|the|not|in|from))\b|\bmy\b(?= \w)", re.IGNORECASE)
_SUBJECT = re.compile(r"\b(?P<who>I|we)(?P<short>'m|'ve|'ll|'d|'re)?\b(?P<rest>[^.!?;:]*)", re.IGNORECASE)
_TWO = re.compile(r"(?:^|[.!?;:,])\s*(?:my\s+)?\w+(?:\s\w+)?\s+and\s+$", re.IGNORECASE)
"""What stands before "I" where two are the subject: "My wife and I live in Rome."
"""
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SHORT = {"'m": "is", "'ve": "has", "'ll": "will", "'d": "would", "'re": "are"}
_OBJECTS = {
    "me": "the user", "my": "the user's", "mine": "the user's", "myself": "themselves",
    "us": "them", "our": "their", "ours": "theirs", "ourselves": "themselves",
}  # fmt: skip
_OBJECT = re.compile(rf"\b(?:{'|'.join(_OBJECTS)})\b", re.IGNORECASE)
_IRREGULAR = {
    "am": "is", "have": "has", "haven't": "hasn't", "do": "does", "don't": "doesn't", "go": "goes", "were": "was",
    "weren't": "wasn't",
}  # fmt: skip
_ADVERBS = _words(
    "also always never usually often really still just only currently now sometimes mostly mainly rarely "
    "seldom already even both once then almost absolutely "
)
# Words that stay as they are after a subject: auxiliaries, and past forms that don't end in -ed.
_UNCHANGED = _words(
    "can can't cannot could couldn't will won't would wouldn't should shouldn't may might must mustn't "
    "shall needn't was wasn't had hadn't did didn't is isn't has hasn't used ate became began bought "
    "broke brought built came caught chose drank drew drove fell felt fought found flew forgot gave got "
    "grew heard held hid hit hurt kept knew led left lent lost made meant met paid put quit ran rode rose "
    "said sang sat saw sent set shot slept sold spent spoke stood stole swam taught thought threw told "
    "took understood went woke won wore wrote let cut "
)
_NO_PAST = _words("need feed breed bleed heed seed weed speed proceed succeed exceed ")


def third_person(text: str) -> str:
    """Return an English statement as one about the user, in the third person; another text as a quotation: The user
    said: "Ich wohne in Bergen." What stands in quotation marks isn't changed.
    """
    plain = text.replace("’", "'").strip()
    english = _ENGLISH.search(plain) is not None and identify(plain, 0.6) in {"en", None}
    if not english:
        return f'The user said: "{text.strip()}"'
    parts, last = [], 0
    for quoted in _QUOTED.finditer(plain):
        parts += [_turned(plain[last : quoted.start()]), quoted.group()]
        last = quoted.end()
    made = "".join([*parts, _turned(plain[last:])])
    # Said once, "the user's" is clear; again and again it reads like a form.
    first, mark, rest = made.partition("the user's ")
    made = first + mark + rest.replace("the user's ", "their ")
    return made[:1].upper() + made[1:]


def _turned(text: str) -> str:
    text = re.sub(r"\b[Ii]m\b", "I'm", text)
    return _OBJECT.sub(lambda match: _OBJECTS[match.group().lower()], _SUBJECT.sub(_predicate, text))


def _predicate(match: re.Match[str], *, clause: bool = False) -> str:
    """Return a subject and what follows, changed. clause: another subject and its verb stand before."""
    rest = _SUBJECT.sub(partial(_predicate, clause=True), match["rest"])
    one = match["who"].lower() == "i"
    subject = "the user" if one else "they"
    if match["short"]:
        return f"{subject} {_SHORT[match['short'].lower()]}{rest}"
    if not one or (not clause and _TWO.search(match.string[: match.start()])):
        return f"{subject}{rest}"
    words = re.split(r"(\s+)", rest)
    for at in range(2, len(words), 2):
        word = words[at].lower()
        if word in _ADVERBS or (word.endswith("ly") and len(word) > 4):
            continue
        words[at] = _conjugated(words[at])
        break
    return f"{subject}{''.join(words)}"


def _conjugated(verb: str) -> str:
    """Return the form of a verb after "the user"; past forms and auxiliaries stay."""
    stem = re.match(r"[\w']+", verb)
    if stem is None:
        return verb
    word, tail = stem.group().lower(), verb[stem.end() :]
    if word in _UNCHANGED or (word.endswith("ed") and word not in _NO_PAST):
        return verb
    if word in _IRREGULAR:
        return _IRREGULAR[word] + tail
    if re.search(r"(?:s|x|z|ch|sh|o)$", word):
        return f"{word}es{tail}"
    return (f"{word[:-1]}ies" if re.search(r"[^aeiou]y$", word) else f"{word}s") + tail
