"""Segmentation: cuts records into the units that are marked. Offsets are exact: `record.body[start:end] == text`."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator
from typing import Literal

import sentencex

from penchant.errors import InputError
from penchant.history.records import History, Record, Segment
from penchant.text.language import identify

Unit = Literal["auto", "sentence", "record"]

WHOLE = 400  # characters: up to here a record is one segment under "auto"
LONGEST = 1000  # characters: a longer sentence is cut further
RUN_ON = 200  # characters: a longer sentence is looked at again, in case it is several in small letters

# The splitter's rules know only one-byte white space and panic on some of the rest; each character is replaced by
# exactly one other, so offsets stay true. Lone surrogates can't be handed to it at all.
_PLAIN = {c: " " for c in range(0x80, 0x3001) if chr(c).isspace()} | {0x85: "\n", 0x2028: "\n", 0x2029: "\n"}
_PLAIN |= dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


# What begins behind the end of a sentence, in small letters or with a digit. In German, Danish, Finnish, Czech and
# Slovak the splitter ends no sentence there.
_SMALL_START = re.compile(r"(?:(?<=[^\W\d][.!?…])|(?<=[.!?…]{2}))(\s+)(\d|[^\W\d_])")


def segment(history: History, unit: Unit = "auto") -> tuple[Segment, ...]:
    """Return all segments of a history, in time order, and within a record by position.

    unit: "sentence"; "record" (one segment per record); "auto" (records of up to `WHOLE` characters whole, longer ones
    by sentence). Every record gives at least one segment; only white space lies outside segments. Raises `InputError`
    for another unit.
    """
    return tuple(piece for position, record in enumerate(history) for piece in segment_record(record, position, unit))


def segment_record(record: Record, position: int, unit: Unit = "auto") -> tuple[Segment, ...]:
    """Return the segments of one record, at `position` in its history. See `segment`."""
    if unit not in ("auto", "sentence", "record"):
        raise InputError(f"unknown segmentation unit {unit!r}: expected 'auto', 'sentence' or 'record'")
    body = record.body
    if unit == "record" or (unit == "auto" and len(body) <= WHOLE):
        spans = _trimmed(body, 0, len(body))
    else:
        spans = (piece for start, end in _sentences(record) for piece in _cut(body, start, end))
    return tuple(Segment(position, record.id, start, end, body[start:end]) for start, end in spans)


def _sentences(record: Record) -> Iterator[tuple[int, int]]:
    """Yield the trimmed (start, end) of each sentence; the reply always starts a new one."""
    body = record.body
    named = record.meta.get("lang")
    language = named if isinstance(named, str) and named else identify(body) or "en"
    seam = len(record.text) + 1 if record.text and record.reply else 0
    starts = {0, seam}
    for offset, part in ((0, body[:seam]), (seam, body[seam:])):
        starts.update(offset + start for start in _starts(part, language))
    for start, end in itertools.pairwise([*sorted(starts), len(body)]):
        inner = _starts_in_small_letters(body[start:end], language) if end - start > RUN_ON else []
        for first, last in itertools.pairwise([start, *(start + at for at in inner), end]):
            yield from _trimmed(body, first, last)


def _starts_in_small_letters(sentence: str, language: str) -> list[int]:
    """Return where further sentences begin inside one that may be a run of several in small letters; each such letter
    is taken for a capital.
    """
    capitals = _SMALL_START.sub(_capital, sentence)
    return [] if capitals == sentence else [start for start in _starts(capitals, language) if start > 0]


def _capital(found: re.Match[str]) -> str:
    space, character = found.groups()
    capital = "A" if character.isdecimal() else character.upper()
    return space + (capital if len(capital) == 1 else character)  # offsets stay true: ß has no capital of one character


def _starts(text: str, language: str) -> list[int]:
    plain = text.translate(_PLAIN)
    try:
        return [int(boundary["start_index"]) for boundary in sentencex.get_sentence_boundaries(language, plain)]
    except BaseException as error:
        # A panic of the Rust splitter derives from BaseException, and its class can't be imported.
        if type(error).__name__ != "PanicException":
            raise
        return [position + 1 for position, character in enumerate(plain) if character == "\n"]


def _trimmed(body: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) without white space at the edges; nothing if there is only white space."""
    part = body[start:end]
    start += len(part) - len(part.lstrip())
    end -= len(part) - len(part.rstrip())
    if start < end:
        yield start, end


def _cut(body: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut a sentence into pieces of at most `LONGEST` characters: at line ends, else at white space, else anywhere but
    between a character and its combining marks.
    """
    while end - start > LONGEST:
        limit = start + LONGEST
        floor = start + LONGEST // 2
        cut = body.rfind("\n", floor, limit) + 1 or _last_space(body, floor, limit) or _between(body, floor, limit)
        yield from _trimmed(body, start, cut)
        start = cut
    yield from _trimmed(body, start, end)


def _last_space(body: str, floor: int, limit: int) -> int:
    return next((i + 1 for i in range(limit - 1, floor, -1) if body[i].isspace()), 0)


def _between(body: str, floor: int, limit: int) -> int:
    def joined(i: int) -> bool:
        return body[i] in "\u200d\ufe0e\ufe0f" or body[i - 1] == "\u200d" or unicodedata.combining(body[i]) != 0

    return next((i for i in range(limit, floor, -1) if not joined(i)), limit)
