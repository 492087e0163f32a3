"""Temporarily replaces an object of a library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

_one_at_a_time = RLock()


@contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """Set `owner.name` (a module or a class) to `value` in this context, for every thread; other replacements wait.

    Only for things that a library has no option for: transformers reads GGUF files with `gguf.GGUFReader` and draws a
    bar with its own `tqdm`, and takes neither from its caller.
    """
    with _one_at_a_time:
        before = getattr(owner, name)
        setattr(owner, name, value)
        try:
            yield
        finally:
            setattr(owner, name, before)
