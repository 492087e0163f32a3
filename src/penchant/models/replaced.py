"""Temporarily replaces an object of a library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from types import ModuleType

_one_at_a_time = RLock()


@contextmanager
def replaced(module: ModuleType, name: str, value: object) -> Iterator[None]:
    """Set `module.name` to `value` in this context, for every thread; other replacements wait.

    Only for things that a library has no option for: transformers reads GGUF files with `gguf.GGUFReader` and draws a
    bar with its own `tqdm`, and takes neither from its caller.
    """
    with _one_at_a_time:
        before = getattr(module, name)
        setattr(module, name, value)
        try:
            yield
        finally:
            setattr(module, name, before)
