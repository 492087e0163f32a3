"""Half characters: what a JSON file cut inside an emoji leaves behind. No UTF-8 file or tokenizer can take them."""

from __future__ import annotations

from typing import TypeVar, cast

T = TypeVar("T")


def without_surrogates(value: T) -> T:
    """The same text, or lists and dicts of it, with every lone surrogate replaced by U+FFFD."""
    if isinstance(value, str):
        if value.isascii():
            return value
        return cast(T, value.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    if isinstance(value, dict):
        return cast(T, {without_surrogates(key): without_surrogates(item) for key, item in value.items()})
    if isinstance(value, list):
        return cast(T, [without_surrogates(item) for item in value])
    return value
