"""Ids in paths: a "/" in one arrives as "%2F", which must not end a part of the path."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

HELD_SLASH = "\x1f"
"""Stands for the "/" of an id in a path that was decoded; no id of a user holds it."""


def with_slashes(text: str) -> str:
    """Return an id as it was before it came into a path."""
    return text.replace(HELD_SLASH, "/")


PathId = Annotated[str, AfterValidator(with_slashes)]
"""The type of ids in paths."""
