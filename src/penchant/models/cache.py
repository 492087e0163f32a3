"""The cache directory of de-quantised models: entries appear completely or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from penchant.errors import ModelError
from penchant.folders import cache_folder

MANIFEST = "penchant.json"
STALE_SECONDS = 24 * 3600
HASHED_BYTES = 2 << 30
"""Files up to this size are hashed in full at every load (about a second per GiB); for larger ones only the size is
checked.
"""


def models_directory() -> Path:
    """`models` in the cache folder."""
    return cache_folder() / "models"


def publish(entry: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary directory beside `entry`, then rename it to `entry`.

    Two processes may do this at once: the first to finish wins and the other's work is dropped. An exception or
    Ctrl-C in `write` leaves nothing behind. Raises `OSError` when the cache can't be written.
    """
    entry.parent.mkdir(parents=True, exist_ok=True)
    _sweep(entry.parent)
    work = Path(tempfile.mkdtemp(prefix=f".{entry.name}-", dir=entry.parent))
    try:
        write(work)
        files = {path.name: _facts(path) for path in sorted(work.iterdir())}
        (work / MANIFEST).write_text(json.dumps({"files": files}, indent=1), encoding="utf-8")
        for path in work.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        try:
            work.rename(entry)
        except OSError:
            if is_complete(entry) is not None:
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def is_complete(entry: Path) -> str | None:
    """Return None if every file of the entry is there with its original content, else a description of what is
    wrong.
    """
    try:
        listed = json.loads((entry / MANIFEST).read_text(encoding="utf-8"))["files"]
        for name, facts in listed.items():
            if _facts(entry / name) != facts:
                return f"{name} has changed"
    except OSError as error:
        return f"{Path(error.filename or MANIFEST).name} can't be read"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST} is not readable"
    return None


def discard(entry: Path) -> None:
    """Remove a damaged entry; its name is free at once. Raises `ModelError` if that isn't allowed."""
    aside = entry.with_name(f".{entry.name}-discarded-{os.getpid()}-{time.monotonic_ns()}")
    try:
        entry.rename(aside)
    except FileNotFoundError:
        return  # another process was faster
    except OSError as error:
        raise ModelError(f"the damaged cache entry {entry} can't be removed ({error}): delete it by hand") from error
    if aside.is_dir():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink(missing_ok=True)


def _facts(path: Path) -> dict[str, int | str]:
    size = path.stat().st_size
    if size > HASHED_BYTES:
        return {"bytes": size}
    with path.open("rb") as file:
        return {"bytes": size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _sweep(directory: Path) -> None:
    """Remove what a killed process left here a day ago or earlier."""
    for path in directory.glob(".*-*"):
        with contextlib.suppress(OSError):  # another process removes it at the same time
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(path)
