"""Memories by name. Adding one is one line in MEMORIES."""

from __future__ import annotations

from collections.abc import Callable

from penchant.errors import InputError
from penchant.marking.registry import Toolbox
from penchant.memory.context import Memory
from penchant.memory.methods.lexical import bm25_top
from penchant.memory.methods.penchant import penchant
from penchant.memory.methods.rhea import rhea
from penchant.memory.methods.summary import summary
from penchant.memory.methods.whole import full, recent, user_turns

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
