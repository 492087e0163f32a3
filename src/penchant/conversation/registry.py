"""Memories by name. Adding one is one line in MEMORIES."""

from __future__ import annotations

from collections.abc import Callable

from penchant.conversation.context import Memory
from penchant.conversation.memories.bm25 import bm25_top
from penchant.conversation.memories.penchant import penchant
from penchant.conversation.memories.rhea import rhea
from penchant.errors import InputError
from penchant.marking.registry import Toolbox
from penchant_lab.memories.summary import summary
from penchant_lab.memories.whole import full, recent, user_turns

DEFAULT_MEMORY = "penchant"

MEMORIES: dict[str, Callable[[Toolbox], Memory]] = {
    "penchant": penchant,
    "rhea": rhea,
    "full": full,
    "recent-5": recent,
    "user-only": user_turns,
    "bm25-5": bm25_top,
    "summary": summary,
}


def make_memory(name: str, toolbox: Toolbox) -> Memory:
    """The memory `name`. Raises `InputError` for an unknown name, `ModelError` for what the model lacks."""
    try:
        make = MEMORIES[name]
    except KeyError:
        raise InputError(f"no memory {name!r}: expected one of {', '.join(MEMORIES)}") from None
    return make(toolbox)
