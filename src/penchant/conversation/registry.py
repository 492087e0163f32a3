"""Memories by name. A built-in one is a line here; a package adds one through the entry points `penchant.memories`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from penchant.extensions import Registry

if TYPE_CHECKING:
    from penchant.conversation.context import Memory
    from penchant.marking.resources import Resources

DEFAULT_MEMORY = "penchant"

MEMORIES: Registry[Callable[[Resources], Memory]] = Registry(
    "memory",
    "penchant.memories",
    {
        "penchant": "penchant.conversation.memories.penchant:penchant",
        "rhea": "penchant.conversation.memories.rhea:rhea",
        "bm25-5": "penchant.conversation.memories.bm25:bm25_top",
    },
)


def make_memory(name: str, resources: Resources) -> Memory:
    """Make the memory `name`. Raises `InputError` for an unknown name, and `ModelError` if the model lacks something it
    needs.
    """
    return MEMORIES.find(name)(resources)
