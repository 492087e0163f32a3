"""Lineage: files of derived data that name, row by row, the records they are derived from.

`Store.forget` and `Store.forget_record` remove exactly the rows derived from the erased records, in every user's
folders. This requires that all data derived from another user's records is written with this module:

- rows of JSON Lines, each an object whose first key is "sources" (`derived_line`, `append_lines`);
- rows of a .safetensors file: every tensor's first dimension is the rows, and the sources are in the file's own
  header (`save_rows`, `read_rows`), so that no crash can separate them from the vectors;
- a file of `<store>/shared/`, an aggregate over several users (`write_shared`): it is removed with any contributor,
  and one without a list of contributors next to it is removed by every erasure.

A row without sources is derived only from its own user, and is removed with the folder. Sources are hashes: no user ids
or record ids of others are on disk.

Writing and erasing exclude each other through one lock per store. Data read before an erasure must not be written after
it. So each writer takes a function `still`, which is called under the lock, before anything is written, and says which
rows may still be written: those whose sources still exist (`Store.holds`; for vectors, their contrasts).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import FileLock, Timeout

from penchant.errors import StoreError
from penchant.files import write_bytes
from penchant.store.engine import BUSY_SECONDS
from penchant.store.location import user_folder

if TYPE_CHECKING:
    from torch import Tensor

SHARED = "shared"
SIDECAR = ".sources"
KEY = "sources"
FIRST = b'{"sources":'
"""How a JSON Lines row begins: identifies rows that a crash cut short, too."""
LOCK = ".derived.lock"
_DIGITS = 16
_FOLDER = re.compile(r"[0-9a-f]{64}")
_WRITTEN = re.compile(r"([0-9a-f]{16})\.([0-9a-f]{16})?")

Still = Callable[[], Sequence[bool]]


class Digest(str):
    """A hash in a source, as a type distinct from an id: `source_of` refuses to hash it again, which would match
    nothing.
    """

    __slots__ = ()


class Source(NamedTuple):
    """A source of a row: hashes of a user and of one of the user's records ("": the user as a whole), 16 hexadecimal
    digits each. Made by `source_of`.
    """

    user: str
    record: str = ""

    def __str__(self) -> str:
        return f"{self.user}.{self.record}"


def source_of(user: str, record: str = "") -> Source:
    """Return the source of a record, or of a user if no record is given. Raises `TypeError` for a hash."""
    if isinstance(user, Digest) or isinstance(record, Digest):
        raise TypeError("source_of was given a source's own hashes: expected a user id and a record id; use the source")
    named = Digest(user_folder(user)[:_DIGITS])
    if not record:
        return Source(named)
    both = json.dumps([user, record]).encode("utf-8", "surrogatepass")
    return Source(named, Digest(hashlib.sha256(both).hexdigest()[:_DIGITS]))


def parse_source(written: object) -> Source:
    """Parse a source written by `str`. Raises `ValueError` for anything else."""
    if not isinstance(written, str) or not (parts := _WRITTEN.fullmatch(written)):
        raise ValueError(f"{written!r} is no source")
    return Source(Digest(parts[1]), Digest(parts[2] or ""))


def is_user_folder(name: str) -> bool:
    return _FOLDER.fullmatch(name) is not None


def root_of(path: Path) -> Path:
    """Return the folder of the store that a file in a user's folder belongs to; for other files, their own folder."""
    for folder in path.parents:
        if is_user_folder(folder.name) and len(folder.parents) > 1:
            return folder.parents[1]
    return path.parent


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the lock on the derived data under a store's folder. Raises `StoreError` if another process doesn't release
    it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # A new lock object each time, so that two threads exclude each other as well.
        lock = FileLock(directory / LOCK, timeout=BUSY_SECONDS)
        lock.acquire()
    except Timeout as error:
        raise StoreError(
            f"derived data in {directory} has been held by another process for over {BUSY_SECONDS:.0f} s: "
            "try again when that one is done"
        ) from error
    except OSError as error:
        raise StoreError(_unwritable(directory, error)) from error
    try:
        yield
    finally:
        lock.release()


def derived_line(fields: Mapping[str, Any], sources: Iterable[Source]) -> str:
    """Make a JSON Lines row: the sources, then the fields. Raises `ValueError` for values that aren't JSON."""
    return json.dumps({KEY: list(map(str, sources)), **fields}, ensure_ascii=False, allow_nan=False)


def append_lines(path: Path, lines: Sequence[str], still: Still | None = None) -> list[bool]:
    """Append rows made by `derived_line` to a file (created if missing), on disk when this returns. A last row that a
    crash cut short is removed. Safe for several processes. Returns which rows were written (see `still` above). Raises
    `StoreError` if the file can't be written.
    """
    with _writing(path):
        keep = [True] * len(lines) if still is None else list(still())
        if any(keep):
            data = "".join(line + "\n" for line, kept in zip(lines, keep, strict=True) if kept)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.truncate(whole_lines(path))
                file.write(data.encode("utf-8", "replace"))
                file.flush()
                os.fsync(file.fileno())
        return keep


def keep_lines(path: Path, wanted: Callable[[bytes], bool]) -> int:
    """Rewrite a file of rows without the unwanted ones; the others stay byte for byte. A file without rows is removed.
    Returns how many rows were removed.
    """
    with _writing(path):
        lines = path.read_bytes()[: whole_lines(path)].splitlines(keepends=True) if path.is_file() else []
        kept = [line for line in lines if wanted(line)]
        if len(kept) < len(lines):
            replace_file(path, b"".join(kept))
        return len(lines) - len(kept)


def save_rows(
    path: Path,
    tensors: Mapping[str, Tensor],
    sources: Sequence[Iterable[Source]],
    metadata: Mapping[str, str] | None = None,
    still: Still | None = None,
) -> list[bool]:
    """Write vectors as .safetensors, atomically, with the sources of each row.

    tensors: each [rows, ...], any dtype; sources: one set per row (the user's own record, and the donors). metadata:
    further entries of the header. Returns which rows were written (see `still` above); without any, the file is
    removed. Raises `ValueError` for tensors with other row counts, and `StoreError` if the file can't be written.
    """
    from safetensors.torch import save

    for name, tensor in tensors.items():
        if tensor.ndim < 1 or tensor.shape[0] != len(sources):
            raise ValueError(
                f"{name} is {list(tensor.shape)}: expected {len(sources)} rows, one for each set of sources"
            )
    with _writing(path):
        keep = [True] * len(sources) if still is None else list(still())
        positions = [position for position, kept in enumerate(keep) if kept]
        if not all(keep):
            tensors = {name: tensor[positions] for name, tensor in tensors.items()}
        written = [list(map(str, sources[position])) for position in positions]
        header = {**(metadata or {}), KEY: json.dumps(written)}
        parts = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        replace_file(path, save(parts, header) if positions else b"")
        return keep


def read_rows(path: Path) -> tuple[dict[str, Tensor], list[list[Source]], dict[str, str]]:
    """Read a file of `save_rows`: tensors, sources of each row, and the other metadata.

    Raises `FileNotFoundError`, and `StoreError` for a file that `save_rows` didn't write.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileNotFoundError(path)
    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        sources = [[parse_source(one) for one in row] for row in json.loads(metadata.pop(KEY))]
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path.name} isn't a file of derived rows ({error}): remove it and make it again") from error
    return tensors, sources, metadata


def write_derived(path: Path, content: bytes, still: Still) -> None:
    """Write a file that is erased as a whole; if something that it is derived from is already gone, the file is removed
    instead. Raises `StoreError` if it can't be written.
    """
    with _writing(path):
        replace_file(path, content if all(still()) else b"")


def write_shared(
    directory: Path,
    name: str,
    content: bytes,
    contributors: Iterable[Source],
    still: Callable[[], bool] | None = None,
) -> Path:
    """Write an aggregate over several users to `<store>/shared/<name>`, with its contributors in a file next to it.

    directory: the store's folder. contributors: whole users (`source_of(user)`), or single records if only those count.
    still: called under the lock, says whether all of them still exist. Returns the file's path. Raises `StoreError` if
    one is gone (then nothing is written), or if the file can't be written.
    """
    path = directory / SHARED / name
    with _writing(path, directory):
        if still is not None and not still():
            raise StoreError(f"{name} includes data that was erased meanwhile: nothing was written; compute it again")
        # In this order, a crash never leaves an aggregate next to the contributors of another one.
        path.unlink(missing_ok=True)
        replace_file(sidecar_of(path), json.dumps(sorted(set(map(str, contributors)))).encode())
        replace_file(path, content)
    return path


def sidecar_of(path: Path) -> Path:
    return path.with_name(path.name + SIDECAR)


def whole_lines(path: Path) -> int:
    """Return the size up to the end of the last whole line."""
    size = path.stat().st_size
    with path.open("rb") as file:
        end = size
        while end:
            start = max(0, end - (1 << 16))
            file.seek(start)
            if (found := file.read(end - start).rfind(b"\n")) >= 0:
                return start + found + 1
            end = start
    return 0


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file's content atomically, on disk when this returns; its folder is made. Empty content removes the
    file. Raises `OSError`.
    """
    if not content:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content)


@contextmanager
def _writing(path: Path, root: Path | None = None) -> Iterator[None]:
    """Hold the lock while a file is written (root: the store's folder, default: `root_of`). Raises `StoreError`,
    naming the file, if it can't be.
    """
    with locked(root_of(path) if root is None else root):
        try:
            yield
        except OSError as error:
            raise StoreError(_unwritable(path, error)) from error


def _unwritable(path: Path, error: OSError) -> str:
    return f"{path} can't be written ({error.strerror or error}): free space, or make the folder writable"
