"""Writing files: a file has its old content or its new content, never a part of either."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penchant.errors import InputError

PART = ".part"
"""Suffix of a temporary file's name."""
_STALE_SECONDS = 24 * 3600


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary file next to `path` to write to: `.NAME.<32 hexadecimal digits>.part`. When the block ends, the
    file is synced to disk and replaces `path` in one step. After an exception it is removed, and `path` is unchanged.

    Several writers of one path don't disturb each other: the last one wins. A file that a killed writer left behind is
    removed when the same path is written a day or more later. A link is followed. What is no file (/dev/stdout, a named
    pipe) is given itself. Raises `OSError`.
    """
    path = path.resolve()
    if path.exists() and not (path.is_file() or path.is_dir()):
        yield path
        return
    _sweep(path)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}{PART}")
    try:
        yield part
        _sync(part)
        part.replace(path)
    finally:
        with contextlib.suppress(OSError):  # it has been renamed, or was never written
            part.unlink()


def check_writable(path: Path) -> None:
    """Raise `InputError` if a file can't be written: before the work, not after it. See `try_to_write`."""
    try:
        try_to_write(path)
    except OSError as error:
        raise unwritable(path, error) from error


def try_to_write(path: Path) -> None:
    """Raise `OSError` if a file can't be written. Tried, since permissions don't tell (root, /proc, a full or read-only
    disk, a name that is too long). Nothing is left, and a file that is there stays as it is.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    path = path.resolve()
    if path.exists() and not path.is_file():
        return
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}{PART}")
    part.touch()
    part.unlink()


def unwritable(path: Path, error: OSError) -> InputError:
    """The error for a file that the user named and that can't be written."""
    return InputError(
        f"can't write {path} ({error.strerror or error}): expected a file in a folder that can be written"
    )


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
