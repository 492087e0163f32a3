"""Finds others' words in a user's turn (`others_words`): they are no statements of the user, and instruct nobody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from penchant.conversation.attribution import structure
from penchant.conversation.attribution.languages import Cues, cues
from penchant.history.records import Record
from penchant.history.segmentation import segment_record

Kind = Literal["code", "quoted", "speaker", "pasted", "imagined"]
"""code: between backticks. quoted: between quotation marks, or cited lines. speaker: a line of a dialogue. pasted: a
letter, a message, a text to work on. imagined: a dream, fiction, a supposition."""

_PLAIN = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "\u00a0": " ", "\u202f": " "})
_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")
_MARKED = re.compile(r"\s*(?:[\"“„«»'>`]|~~~)")
_SIGNED = r"[,.!]*(?:[ \t]*\n?[ \t]*(?:[A-ZÀ-Ý][\w.'-]+)(?: [A-ZÀ-Ý][\w.'-]+){0,3}(?=[ \t.!]*(?:\n|$|[ \t]+\S)))?[.!]*"


@dataclass(frozen=True, slots=True)
class OthersWords:
    """Characters [start, end) of a turn that aren't the user's own words."""

    start: int
    end: int
    kind: Kind


def others_words(text: str) -> tuple[OthersWords, ...]:
    """Return others' words in a user's turn, in order and without overlaps. No model runs.

    Everything else is the user's own: what precedes a pasted text, and what follows it once the user is speaking again
    (after its signature, after an empty line or "by the way", or with a question at its end).
    """
    plain, known = text.translate(_PLAIN), cues()
    found = [OthersWords(*span, "code") for span in structure.code(plain)]
    found += [OthersWords(*span, "quoted") for span in structure.quotations(plain)]
    found += [OthersWords(*span, "speaker") for span in structure.spoken_lines(plain, known)]
    for start, end in structure.messages(plain, known):
        found.append(OthersWords(start, _end_of_text(plain, end, known, block=True), "pasted"))
    for field in ("wrote", "material"):
        for match in known[field].finditer(plain):
            if not overlaps(found, match.start(), match.end()):
                found += _introduced(plain, match.end(), known)
    for match in _headings(plain, known):
        found.append(OthersWords(match.end(), _end_of_text(plain, match.end(), known, block=True), "imagined"))
    for field in ("dreamt", "roles"):
        for match in known[field].finditer(plain):
            found.append(OthersWords(match.end(), _end_of_paragraph(plain, match.end(), known), "imagined"))
    for match in known["supposed"].finditer(plain):
        found.append(OthersWords(match.end(), _sentences(plain, match.end(), len(plain))[0][1], "imagined"))
    return tuple(_disjoint(found))


def overlaps(found: Iterable[OthersWords], start: int, end: int) -> bool:
    """Whether characters [start, end) share any with these."""
    return any(one.start < end and start < one.end for one in found)


def mostly_others(found: Iterable[OthersWords], start: int, end: int) -> bool:
    """Whether more than half of characters [start, end) are in these: so for a sentence with a short quotation in it,
    no.
    """
    return 2 * sum(max(0, min(end, one.end) - max(start, one.start)) for one in found) > end - start


def _headings(plain: str, known: Cues) -> Iterator[re.Match[str]]:
    """Yield the headings of a book ("Chapter one. ...", "# Prologue"): where a sentence or a line begins, and followed
    by a title at most, or a stop. "Chapter one is finished" is none.
    """
    title = r"(?:[ \t]*[:–—-][^\n.!?]{0,60})?[.:!\n]"
    heading = rf"(?:^|(?<=[.!?:\n]))[ \t#*_]*(?i:{known['heading'].pattern})\b[*_]*{title}"
    yield from re.compile(heading, re.M).finditer(plain)


def _introduced(plain: str, start: int, known: Cues) -> Iterator[OthersWords]:
    """Yield a text that the words before `start` introduce. Quotation marks, if it has them, say where it ends."""
    if _MARKED.match(plain, start) or not plain[start:].strip():
        return
    between = plain[start - 1 : start + len(plain[start:]) - len(plain[start:].lstrip())]
    yield OthersWords(start, _end_of_text(plain, start, known, block="\n" in between), "pasted")


def _end_of_text(plain: str, start: int, known: Cues, *, block: bool) -> int:
    """Return where a text ends that begins at `start`. block: it stands on lines of its own, so empty lines are part of
    it.
    """
    start += len(plain[start:]) - len(plain[start:].lstrip())
    if known["salutation"].match(plain, start):
        signed = re.compile(rf"(?:^|[\n.!?,;])[ \t]*(?i:{known['closing'].pattern})\b{_SIGNED}", re.M)
        if match := signed.search(plain, start):
            return match.end()
    if not block:
        return _end_of_paragraph(plain, start, known)
    begun = start
    for gap in _PARAGRAPH.finditer(plain, start):
        if known["back"].match(plain, gap.end()) or (
            _PARAGRAPH.search(plain, gap.end()) is None and "?" in plain[gap.end() :]
        ):
            return gap.start()
        begun = gap.end()
    return _end_of_paragraph(plain, begun, known)


def _end_of_paragraph(plain: str, start: int, known: Cues) -> int:
    """Return where others' words in a paragraph end: before the user is back, or before the questions at its end."""
    gap = _PARAGRAPH.search(plain, start)
    pieces = _sentences(plain, start, gap.start() if gap else len(plain))
    for number, (begun, _) in enumerate(pieces):
        if number and known["back"].match(plain, begun):
            pieces = pieces[:number]
            break
    while len(pieces) > 1 and plain[slice(*pieces[-1])].endswith("?"):
        pieces.pop()
    return pieces[-1][1] if pieces else start


def _sentences(plain: str, start: int, end: int) -> list[tuple[int, int]]:
    part = plain[start:end]
    if not part.strip():
        return [(start, start)]
    return [(start + one.start, start + one.end) for one in segment_record(Record(part), 0, "sentence")]


def _disjoint(found: Iterable[OthersWords]) -> Iterator[OthersWords]:
    """Yield spans in order, cut where an earlier one goes on; empty ones are left out."""
    at = 0
    for one in sorted(found, key=lambda one: (one.start, -one.end)):
        start = max(one.start, at)
        if start < one.end:
            yield OthersWords(start, one.end, one.kind)
            at = one.end
