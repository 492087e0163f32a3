"""Finds what a turn says about being kept: "off the record", "forget that I live in Porto" (`wish_in`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from penchant.conversation.attribution import mostly_others, others_words
from penchant.conversation.facts import statements
from penchant.conversation.instructions.sentences import Sentence, sentences
from penchant.conversation.retention.languages import Wishes, wishes_for

Kind = Literal["statement", "topic", "last"]
"""statement: "that I live in Porto". topic: "my address". last: what was just said."""

_JOINT = re.compile(r"[\s,;:.!–—-]*(?:(?:but|aber|mais|pero|ma|però)\b[\s,:]*)?", re.IGNORECASE)
_TAIL = " .!?,;:"
_PLEASE = re.compile(r",? (?:please|bitte|s'il (?:te|vous) plaît|por favor|per favore)\W*$", re.IGNORECASE)
_GOES_ON = re.compile(r",\s+(?:(?:and|but|und|aber|et|mais|y|pero|e|ma)\s+)?(?=\S+\s+\S)|;\s+|\s[–—-]\s")
_SECOND = re.compile(r",?\s+(?:and(?: also)? that|und dass|et (?:que |qu')|y que|e che)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ForgetRequest:
    """Something to forget. wanted: in the user's words ("" for the kind "last"). certain: it can't be about anything
    but the memory; "delete my second paragraph" may be.
    """

    kind: Kind
    wanted: str = ""
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Wish:
    """What a turn wants kept. off_record: nothing of it. lasting: nothing from now on (False: again from now on; None:
    not said). rest: the turn without these wishes, to be answered ("": there is nothing else in it). language: of the
    wish; its `replies` tell the user.
    """

    language: Wishes
    rest: str
    off_record: bool = False
    lasting: bool | None = None
    forget: tuple[ForgetRequest, ...] = ()


def wish_in(text: str) -> Wish | None:
    """Return what a user's turn says about being kept; None if it says nothing of the kind. No model runs.

    Others' words, reports ("I forgot that ...") and reminders ("don't forget that ...") are no wishes.
    """
    others = [one for one in others_words(text) if one.kind != "imagined"]
    found: list[tuple[Wishes, str, re.Match[str], Sentence]] = []
    for sentence in sentences(text):
        if not mostly_others(others, sentence.start, sentence.end):
            found += _in_sentence(sentence)
    if not found:
        return None
    rest, forget = text, list[ForgetRequest]()
    for _, field, match, sentence in reversed(found):
        begun, end = match.span()
        if field.startswith("forget"):
            start, end = match.span("x")
            wanted = sentence.text[start : start + len(_wanted(sentence.plain[start:end], field))]
            forget[:0] = _requests(field, wanted, match)
            end = start + len(wanted) if field == "forget_that" else match.end()
        elif field == "last":
            forget.insert(0, ForgetRequest("last"))
        elif field in ("lasting", "resume"):
            begun, end = 0, len(sentence.text)
        rest = _without(rest, sentence.start + begun, sentence.start + end)
    fields = {field for _, field, _, _ in found}
    lasting = True if "lasting" in fields else False if "resume" in fields else None
    if not any(map(str.isalnum, rest)):
        rest = ""
    if "off_record" in fields and not rest and not forget:
        lasting = True  # "Off the record." alone is about what follows
    return Wish(found[0][0], rest, "off_record" in fields or lasting is True, lasting, tuple(forget))


def _in_sentence(sentence: Sentence) -> Iterator[tuple[Wishes, str, re.Match[str], Sentence]]:
    """Yield the first wish of a sentence, with its language and field."""
    for language in wishes_for(sentence.plain):
        for field in ("last", "forget_about", "forget_that", "lasting", "resume", "off_record"):
            if match := language.find(field, sentence.plain):
                if language.find("subject", sentence.plain[: match.start()]):  # "I don't save anything": a report
                    continue
                if field == "off_record" and _reported(match, sentence.plain, language):
                    continue
                lasts = field == "off_record" and language.find("from_here", sentence.plain)
                yield language, "lasting" if lasts else field, match, sentence
                return


def _reported(match: re.Match[str], plain: str, language: Wishes) -> bool:
    """Whether a phrase says how others, or the user and others, spoke: "we talked off the record with a journalist"."""
    told = language.find("reported", plain)
    return told is not None and told.start() <= match.start() and match.end() <= told.end()


def _requests(field: str, wanted: str, match: re.Match[str]) -> list[ForgetRequest]:
    if field == "forget_that":
        return [ForgetRequest("statement", one) for one in _SECOND.split(wanted) if one.strip()]
    # What follows or precedes the topic names the memory, or what the user has told.
    return [ForgetRequest("topic", wanted, certain=len(match.group()) - len(match["x"]) > _SHORT)]


_SHORT = 22
"""Characters: "forget my address" has fewer around its topic than "delete my address from your memory"."""


def _wanted(plain: str, field: str) -> str:
    """Return what is to be forgotten, without what follows it ("please", ", I live in Lisbon now")."""
    plain = _PLEASE.sub("", plain)
    if field == "forget_that":
        for goes_on in _GOES_ON.finditer(plain):
            if "?" in plain[goes_on.end() :] or statements(plain[goes_on.end() :]):
                plain = plain[: goes_on.start()]
                break
    return plain.rstrip(_TAIL)


def _without(text: str, start: int, end: int) -> str:
    """Return a text without a wish, and without what joined it to the rest."""
    please = _PLEASE.match(text, end)
    after = text[_JOINT.match(text, please.end() if please else end).end() :]  # type: ignore[union-attr]
    before = text[:start].rstrip(" ,;:–—-")
    if before and before[-1] not in ".!?\n":
        before += "."
    after = after[:1].upper() + after[1:]
    return f"{before} {after}".strip() if before and after else before + after
