"""Repairs text that files, terminals and tokenizers refuse: lone surrogates and control characters."""

from __future__ import annotations

from typing import TypeVar, cast

T = TypeVar("T")

# Control characters other than tab and newline move a terminal's cursor or end a C string; lone surrogates can't be
# encoded. Each becomes one character, so that offsets stay valid.
_REPLACEMENTS = {c: " " for c in (*range(0x20), *range(0x7F, 0xA0)) if chr(c) not in "\t\n"}
_REPLACEMENTS |= dict.fromkeys(range(0xD800, 0xE000), "\N{REPLACEMENT CHARACTER}")


def sanitize(text: str) -> str:
    """Return a text of the same length, with control characters blanked and lone surrogates replaced by U+FFFD."""
    return text if text.isascii() and text.isprintable() else text.translate(_REPLACEMENTS)


def replace_surrogates(value: T) -> T:
    """Return the text, or the lists and dicts of texts, with every lone surrogate replaced by U+FFFD.

    A JSON file that was cut inside an emoji leaves lone surrogates behind; no UTF-8 file or tokenizer accepts them. A
    high and a low surrogate next to each other are joined to the character that they encode.
    """
    if isinstance(value, str):
        if value.isascii():
            return value
        return cast(T, value.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    if isinstance(value, dict):
        return cast(T, {replace_surrogates(key): replace_surrogates(item) for key, item in value.items()})
    if isinstance(value, list):
        return cast(T, [replace_surrogates(item) for item in value])
    return value
