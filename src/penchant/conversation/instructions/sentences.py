"""Splits a turn into pieces to be classified: sentences, and lists with the line above them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import regex

from penchant.conversation.instructions.languages import Table, tables_for
from penchant.history.records import Record
from penchant.history.segmentation import segment_record

_STRAIGHT = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "\u00a0": " ", "\u202f": " "})
# A quotation from an opening mark to the closing mark of its kind. A straight single quote counts only if it can't be
# an apostrophe.
_QUOTED = regex.compile(
    r"\"{3}.*?\"{3}|`{3}.*?`{3}|`[^`\n]+`|\"[^\"\n]+\"|“[^”\"\n]+[”\"]|„[^“”\"\n]+[“”\"]|«[^»\n]+»|(?<![\w'])'[^'\n]+'(?!\w)",
    regex.S,
)
_ITEM = regex.compile(r"[^\S\n]*(?:[-*•–]|\(?\d{1,2}[.)])[^\S\n]*\S")
#: Further places where a sentence ends: at the end of a line, after a question that continues in lower case, and after
#: a quotation that a question follows (End with "OK" How tall is it?).
_BREAK = regex.compile(r"\n+|(?<=[?!]) +(?=\p{Ll})|(?<=_\") +(?=\p{Lu}[^.!?\n]*\?)")


@dataclass(frozen=True)
class Sentence:
    """Characters [start, end) of a turn. plain: the same characters, quotations blanked out, apostrophes straight.
    items: the lines of a list that belong to it.
    """

    start: int
    end: int
    text: str
    plain: str
    items: int = 0

    @cached_property
    def tables(self) -> Sequence[Table]:
        """The tables of the languages it may be in."""
        return tables_for(self.plain)

    @property
    def asks(self) -> bool:
        """Whether it ends like a question."""
        return self.text.rstrip().endswith("?")


def plain_text(text: str) -> str:
    """Return a text of the same length in which quotations are underscores between their marks, and apostrophes are
    straight.
    """
    straight = text.translate(_STRAIGHT)
    return str(_QUOTED.sub(lambda match: '"' + "_" * (len(match.group()) - 2) + '"', straight))


def sentences(text: str) -> list[Sentence]:
    """Return the sentences of a turn, in order. A list (lines with a bullet or a number) forms one piece with the line
    above.
    """
    if not text.strip():
        return []
    plain = plain_text(text)
    spans: list[tuple[int, int, int]] = []
    for start, end in _pieces(text, plain):
        item = _ITEM.match(text, start, end) is not None and _at_line(text, start)
        if item and spans and _continues(text, spans[-1], start):
            first, _, items = spans[-1]
            spans[-1] = first, end, items + 1
        else:
            spans.append((start, end, 1 if item else 0))
    return [Sentence(start, end, text[start:end], plain[start:end], items) for start, end, items in spans]


def _pieces(text: str, plain: str) -> list[tuple[int, int]]:
    """Yield trimmed (start, end) of sentences. Splits the plain text, so that a full stop inside a quotation ends
    nothing.
    """
    found: list[tuple[int, int]] = []
    for piece in segment_record(Record(plain), 0, "sentence"):
        at = piece.start
        for stop in [*(m.start() for m in _BREAK.finditer(plain, piece.start, piece.end)), piece.end]:
            part = text[at:stop]
            start, end = at + len(part) - len(part.lstrip()), stop - (len(part) - len(part.rstrip()))
            if start < end:
                found.append((start, end))
            at = stop
    return _whole_items(text, found)


def _whole_items(text: str, pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join "1.", which isn't a sentence, with the rest of its line."""
    whole: list[tuple[int, int]] = []
    for start, end in pieces:
        if (
            whole
            and "\n" not in text[whole[-1][0] : start]
            and regex.fullmatch(r"\(?\d{1,2}[.)]", text[slice(*whole[-1])])
        ):
            whole[-1] = whole[-1][0], end
        else:
            whole.append((start, end))
    return whole


def _at_line(text: str, start: int) -> bool:
    return not text[text.rfind("\n", 0, start) + 1 : start].strip()


def _continues(text: str, last: tuple[int, int, int], start: int) -> bool:
    """Whether a list item continues the list before it, or a line that introduces it."""
    between = text[last[1] : start]
    return between.count("\n") == 1 and (last[2] > 0 or text[: last[1]].endswith((":", "：")))
