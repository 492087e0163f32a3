"""Others' words that the form of a text shows, in any language: quotations, code, cited lines, lines of a dialogue."""

from __future__ import annotations

from collections.abc import Iterator

import regex

from penchant.conversation.attribution.languages import Cues

Span = tuple[int, int]

_CODE = regex.compile(r"`{3}.*?(?:`{3}|\Z)|~{3}.*?(?:~{3}|\Z)|`[^`\n]+`", regex.S)
_QUOTED = regex.compile(
    r"\"{3}.*?\"{3}|\"[^\"\n]*\"|“[^”\"\n]*[”\"]|„[^“”\"\n]*[“”\"]|«[^»\n]*»|»[^«\n]*«|‹[^›\n]*›|「[^」\n]*」"
    r"|(?<![\w'])'[^'\n]*'(?![\w'])",
    regex.S,
)
_CITED = regex.compile(r"(?:^[ \t]*>[^\n]*(?:\n|\Z))+", regex.M)
_SPEAKER = regex.compile(
    r"^[ \t*_]*(?:\[[^\]\n]{1,30}\][ \t]*|\d{1,2}[./]\d{1,2}[./]\d{2,4},? \d{1,2}:\d{2}[^\n\p{L}]{0,6})?"
    r"(?P<label>\p{Lu}[\p{L}.'-]*(?: \p{Lu}[\p{L}.'-]*){0,3})[*_]*[ \t]?:[*_]*[ \t]+(?P<said>\S[^\n]*)",
    regex.M,
)
_HEADER = regex.compile(r"^[ \t]*(?P<name>[\p{L}]{1,10}):[^\n]*(?:\n|\Z)", regex.M)


def code(text: str) -> Iterator[Span]:
    """Yield code between backticks or tildes; a single word of code is left out."""
    return (match.span() for match in _CODE.finditer(text) if any(map(str.isspace, match.group().strip("`~ \n"))))


def quotations(text: str) -> Iterator[Span]:
    """Yield quotations of several words, and cited lines. A turn that is quoted as a whole is the user's own."""
    whole = text.strip()
    for match in _QUOTED.finditer(text):
        if " " in match.group().strip() and match.group() != whole:
            yield match.span()
    yield from (match.span() for match in _CITED.finditer(text))


def spoken_lines(text: str, cues: Cues) -> Iterator[Span]:
    """Yield what others say in lines like "Anna: I live in Rome.": a name, or a role, before a colon.

    "Note: ..." and "Me: ..." are the user's own, and "To: ..." is the header of a message.
    """
    for match in _SPEAKER.finditer(text):
        label = match["label"].strip()
        if not any(cues[field].fullmatch(label) for field in ("own_label", "header", "salutation")):
            yield match.span("said")


def messages(text: str, cues: Cues) -> Iterator[Span]:
    """Yield the headers of pasted messages ("From: ...", "Subject: ...": at least two lines)."""
    lines = [match for match in _HEADER.finditer(text) if cues["header"].fullmatch(match["name"])]
    while lines:
        first = last = lines.pop(0)
        count = 1
        while lines and lines[0].start() == last.end():
            last = lines.pop(0)
            count += 1
        if count > 1:
            yield first.start(), last.end()
