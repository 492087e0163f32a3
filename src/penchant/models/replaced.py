"""Another object in the place of a library's, for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from types import ModuleType

_one_at_a_time = RLock()


@contextmanager
def replaced(module: ModuleType, name: str, value: object) -> Iterator[None]:
    """Let `module.name` be `value` in this context, for every thread; others that want to replace something wait.

    Only for what a library has no option for: transformers reads GGUF files with `gguf.GGUFReader` and draws a bar with
    its own `tqdm`, and takes neither from its caller.
    """
    with _one_at_a_time:
        before = getattr(module, name)
        setattr(module, name, value)
        try:
            yield
        finally:
            setattr(module, name, before)
