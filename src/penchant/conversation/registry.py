"""Memories by name. A built-in one is a line here; a package adds one through the entry points `penchant.memories`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from penchant.extensions import Registry

if TYPE_CHECKING:
    from penchant.conversation.context import Memory
    from penchant.marking.resources import Resources

DEFAULT_MEMORY = "penchant"

MEMORIES: Registry[Callable[..., Memory]] = Registry(
    "memory",
    "penchant.memories",
    {
        "penchant": "penchant.conversation.memories.penchant:penchant",
        "rhea": "penchant.conversation.memories.rhea:rhea",
        "bm25-5": "penchant.conversation.memories.bm25:bm25_top",
    },
)


def make_memory(name: str, resources: Resources, options: Mapping[str, object] | None = None) -> Memory:
    """Make the memory `name`. options: its keyword-only arguments. Raises `InputError` for an unknown name or option,
    and `ModelError` if the model lacks something it needs.
    """
    from penchant.options import parse_arguments  # imports pydantic, which a list of the memories doesn't need

    make = MEMORIES.find(name)
    return make(resources, **parse_arguments(make, options or {}, f"memory {name!r}"))
