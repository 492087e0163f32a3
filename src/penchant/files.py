"""Atomic writes: a file has its old content or its new content, never a part of either."""

from __future__ import annotations

import contextlib
import glob
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PART = ".part"
"""Suffix of a temporary file's name."""
_STALE_SECONDS = 24 * 3600


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary file next to `path` to write to: `.NAME.<32 hexadecimal digits>.part`. When the block ends, the
    file is synced to disk and replaces `path` in one step. After an exception it is removed, and `path` is unchanged.

    Several writers of one path don't disturb each other: the last one wins. A file that a killed writer left behind is
    removed when the same path is written a day or more later. Raises `OSError`.
    """
    _sweep(path)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}{PART}")
    try:
        yield part
        _sync(part)
        part.replace(path)
    finally:
        with contextlib.suppress(OSError):  # it has been renamed, or was never written
            part.unlink()


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file's content, atomically. Raises `OSError`."""
    with atomic_write(path) as part:
        part.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Replace a file's content with UTF-8 text, atomically; line ends are kept as they are. Raises `OSError`."""
    write_bytes(path, content.encode("utf-8"))


def _sweep(path: Path) -> None:
    for part in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 32}{PART}"):
        with contextlib.suppress(OSError):  # another writer was quicker
            if time.time() - part.stat().st_mtime > _STALE_SECONDS:
                part.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)  # Windows syncs only files that are open for writing
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
