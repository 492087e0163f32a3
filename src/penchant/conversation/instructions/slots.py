"""What an instruction regulates (`slot_of`), and whether it supersedes another (`conflict`)."""

from __future__ import annotations

from functools import lru_cache

import regex

from penchant.conversation.instructions.languages import Table, tables
from penchant.conversation.instructions.sentences import plain_text
from penchant.history.dialogue import Instruction
from penchant.text.terms import STOP_WORDS, Terms, split_words

SEVERAL = frozenset({"words"})
"""Slots that can hold several instructions at once."""

#: An answer can have only one of these.
_ONE = ("emoji", "formality", "address")
_FORMATS = regex.compile(r"\b(?:json|xml|yaml|csv|html|markdown)\b", regex.I)


def slot_of(text: str, table: Table) -> str | None:
    """Return the slot of an instruction in a language; None: no slot, or more than one in a list."""
    plain = plain_text(text)
    for name in ("counted", "until", "spanned"):
        plain = table.without(name, plain)
    found = [name for name in table.slots if table.find(f"slot.{name}", plain)]
    if not found or ("\n" in text.strip() and len(found) > 1):
        return None
    return found[0]


def conflict(new: Instruction, old: Instruction) -> bool:
    """Whether two instructions can't both be followed, judged by their slots.

    They must share a slot that holds only one. Two positive instructions in it always conflict (except formats of the
    whole answer and of a part, such as bold keywords); a positive one and a prohibition, or two prohibitions, only if
    they concern the same thing. Conditional instructions ("whenever I send you code") conflict only with those under a
    similar condition.
    """
    if new.slot is None or new.slot != old.slot or new.slot in SEVERAL:
        return False
    shared = bool(content(new.text) & content(old.text))
    conditions = [_conditional(one.text) for one in (new, old)]
    if any(conditions):
        return all(conditions) and shared
    if new.slot in _ONE:
        return True
    if new.slot == "punctuation" or forbids(new.text) or forbids(old.text):
        return shared
    return shared or new.slot != "format" or all(_whole(one.text) for one in (new, old))


@lru_cache(maxsize=4096)
def _whole(text: str) -> bool:
    """Whether an instruction names a format of the whole answer."""
    plain = plain_text(text)
    return bool(_FORMATS.search(plain)) or any(table.find("whole", plain) for table in tables().values())


@lru_cache(maxsize=4096)
def _conditional(text: str) -> bool:
    plain = plain_text(text)
    return any(table.find("when", plain) for table in tables().values())


@lru_cache(maxsize=4096)
def forbids(text: str) -> bool:
    """Whether an instruction says what not to do."""
    plain = plain_text(text)
    return any(table.find("negated", plain) for table in tables().values() if speaks(plain, table))


def speaks(plain: str, table: Table) -> bool:
    """Whether a text has any cue of a language; distinguishes languages with similar words."""
    return any(
        table.find(name, plain) for name in ("ask", "durable", "always", "each", "here", "wish", "alone", "habit")
    )


@lru_cache(maxsize=4096)
def content(text: str) -> frozenset[str]:
    """Return the stems of an instruction's content words, without stop words and words for time and frequency."""
    bare = text
    for table in tables().values():
        for name in ("durable", "always", "each", "here", "until", "counted"):
            bare = table.without(name, bare)
    general = {word for table in tables().values() for word in table.listed("general")}
    words = split_words(bare)
    found: set[str] = set()
    for code in tables():
        found.update(_terms(code)(word for word in words if len(word) > 1 and word not in general))
    return frozenset(found)


@lru_cache(maxsize=8)
def _terms(code: str) -> Terms:
    return Terms(code if code in STOP_WORDS else None)


def normalised(text: str) -> str:
    """Normalise an instruction: ignore case, punctuation and white space."""
    return " ".join(split_words(text))


def about_same(text: str, known: Instruction) -> int:
    """Count the words that a text shares with a known instruction."""
    return len(content(text) & content(known.text))
