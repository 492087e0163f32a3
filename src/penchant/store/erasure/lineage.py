"""Data that is derived from records of one or several users, in files that say so row by row.

`Store.forget` and `Store.forget_record` take away exactly the rows derived from what is erased, in every user's
folders, whoever they are kept for. For that, whatever is derived from another user's records has to be written here:

- rows of JSON Lines, each an object whose first key is "sources" (`derived_line`, `append_lines`);
- rows of a .safetensors file: every tensor's first dimension is the rows, and the sources stand in the file's own
  header (`save_rows`, `read_rows`), so that no crash can part them from the vectors;
- a file of `<store>/shared/`, an aggregate over several users (`write_shared`): it goes whole with any contributor,
  and one without the list of contributors beside it goes with every erasure.

A row without sources is derived from nothing but its user, and goes with the folder. Sources are hashes: neither user
ids nor record ids of others are on disk.

Writing and erasing exclude each other by one lock a store. What was read before an erasure must not be written after
it: each writer takes `still`, which is asked under the lock, when nothing has been written yet, which rows may be
written after all. It should look whether what they are derived from is still there (`Store.holds`; for vectors,
whether their contrast still is).
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
"""How a row of JSON Lines begins, so that one that a crash cut short is known, too."""
LOCK = ".derived.lock"
_DIGITS = 16
_FOLDER = re.compile(r"[0-9a-f]{64}")
_WRITTEN = re.compile(r"([0-9a-f]{16})\.([0-9a-f]{16})?")

Still = Callable[[], Sequence[bool]]


class Digest(str):
    """A hash in a source, told apart from an id: `source_of` refuses to hash it again, which would match nothing."""

    __slots__ = ()


class Source(NamedTuple):
    """What a row is derived from: the hash of a user, and of one of the user's records ("": of the user as a whole).
    Made by `source_of`, 16 hexadecimal digits each."""

    user: str
    record: str = ""

    def __str__(self) -> str:
        return f"{self.user}.{self.record}"


def source_of(user: str, record: str = "") -> Source:
    """The source that a record is, or without one, a user. Raises `TypeError` for what is a hash already."""
    if isinstance(user, Digest) or isinstance(record, Digest):
        raise TypeError("source_of was given a source's own hashes: expected a user id and a record id; use the source")
    named = Digest(user_folder(user)[:_DIGITS])
    if not record:
        return Source(named)
    both = json.dumps([user, record]).encode("utf-8", "surrogatepass")
    return Source(named, Digest(hashlib.sha256(both).hexdigest()[:_DIGITS]))


def parse_source(written: object) -> Source:
    """The source that `str` of one wrote. Raises `ValueError` for anything else."""
    if not isinstance(written, str) or not (parts := _WRITTEN.fullmatch(written)):
        raise ValueError(f"{written!r} is no source")
    return Source(Digest(parts[1]), Digest(parts[2] or ""))


def is_user_folder(name: str) -> bool:
    return _FOLDER.fullmatch(name) is not None


def root_of(path: Path) -> Path:
    """The store's folder that a file in a user's folder belongs to; elsewhere, the file's own folder."""
    for folder in path.parents:
        if is_user_folder(folder.name) and len(folder.parents) > 1:
            return folder.parents[1]
    return path.parent


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Alone with the derived data under a store's folder. Raises `StoreError` when another process doesn't let go."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # A lock of its own each time: two threads exclude each other as well.
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
    """A row of JSON Lines: the fields, behind what they are derived from. Raises `ValueError` for what is no JSON."""
    return json.dumps({KEY: list(map(str, sources)), **fields}, ensure_ascii=False, allow_nan=False)


def append_lines(path: Path, lines: Sequence[str], still: Still | None = None) -> list[bool]:
    """Adds rows made by `derived_line` to a file (made when missing), on disk when this returns. A last row that a
    crash cut short is removed. Safe for several processes. Returns which rows were written (see the module's `still`).

    Raises `StoreError` when the file can't be written.
    """
    with locked(root_of(path)):
        keep = [True] * len(lines) if still is None else list(still())
        if any(keep):
            data = "".join(line + "\n" for line, kept in zip(lines, keep, strict=True) if kept)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("ab") as file:
                    file.truncate(whole_lines(path))
                    file.write(data.encode("utf-8", "replace"))
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise StoreError(_unwritable(path, error)) from error
        return keep


def keep_lines(path: Path, wanted: Callable[[bytes], bool]) -> int:
    """Rewrites a file of rows without those that aren't wanted, the others byte for byte as they were; without any it
    is removed. Returns how many went."""
    with locked(root_of(path)):
        try:
            lines = path.read_bytes()[: whole_lines(path)].splitlines(keepends=True) if path.is_file() else []
            kept = [line for line in lines if wanted(line)]
            if len(kept) < len(lines):
                replace_file(path, b"".join(kept))
        except OSError as error:
            raise StoreError(_unwritable(path, error)) from error
        return len(lines) - len(kept)


def save_rows(
    path: Path,
    tensors: Mapping[str, Tensor],
    sources: Sequence[Iterable[Source]],
    metadata: Mapping[str, str] | None = None,
    still: Still | None = None,
) -> list[bool]:
    """Writes vectors as .safetensors, whole or not at all, with what each row is derived from.

    tensors: [rows, ...] each, any dtype; sources: one set a row (the user's own record, and the donors). metadata: what
    else stands in the header. Returns which rows were written (see the module's `still`); without any, the file is
    removed. Raises `ValueError` for tensors of other row counts, `StoreError` when the file can't be written.
    """
    from safetensors.torch import save

    for name, tensor in tensors.items():
        if tensor.ndim < 1 or tensor.shape[0] != len(sources):
            raise ValueError(
                f"{name} is {list(tensor.shape)}: expected {len(sources)} rows, one for each set of sources"
            )
    with locked(root_of(path)):
        keep = [True] * len(sources) if still is None else list(still())
        positions = [position for position, kept in enumerate(keep) if kept]
        if not all(keep):
            tensors = {name: tensor[positions] for name, tensor in tensors.items()}
        written = [list(map(str, sources[position])) for position in positions]
        header = {**(metadata or {}), KEY: json.dumps(written)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            parts = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
            replace_file(path, save(parts, header) if positions else b"")
        except OSError as error:
            raise StoreError(_unwritable(path, error)) from error
        return keep


def read_rows(path: Path) -> tuple[dict[str, Tensor], list[list[Source]], dict[str, str]]:
    """What `save_rows` wrote: tensors, sources of each row, and the other metadata.

    Raises `FileNotFoundError`, and `StoreError` for a file that isn't one of its own.
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
    """Writes a file that goes as a whole, unless something that it is derived from went already: then it is removed.
    Raises `StoreError` when it can't be written."""
    with locked(root_of(path)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, content if all(still()) else b"")
        except OSError as error:
            raise StoreError(_unwritable(path, error)) from error


def write_shared(
    directory: Path,
    name: str,
    content: bytes,
    contributors: Iterable[Source],
    still: Callable[[], bool] | None = None,
) -> Path:
    """Writes an aggregate over several users to `<store>/shared/<name>`, with its contributors beside it.

    directory: the store's. contributors: whole users (`source_of(user)`), or single records where only those count.
    still: asked under the lock whether all of them are still there. Returns the file's path. Raises `StoreError` when
    one is gone (nothing is written then), or when the file can't be written.
    """
    path = directory / SHARED / name
    with locked(directory):
        if still is not None and not still():
            raise StoreError(f"{name} counts in what was erased meanwhile: nothing was written; make it again")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # In this order a crash leaves no aggregate beside another one's contributors.
            path.unlink(missing_ok=True)
            replace_file(sidecar_of(path), json.dumps(sorted(set(map(str, contributors)))).encode())
            replace_file(path, content)
        except OSError as error:
            raise StoreError(_unwritable(path, error)) from error
    return path


def sidecar_of(path: Path) -> Path:
    return path.with_name(path.name + SIDECAR)


def whole_lines(path: Path) -> int:
    """Size up to the end of the last whole line."""
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
    """The file's new content in one step, on disk when this returns; no content: no file. Raises `OSError`."""
    if not content:
        path.unlink(missing_ok=True)
        return
    write_bytes(path, content)


def _unwritable(path: Path, error: OSError) -> str:
    return f"{path} can't be written ({error.strerror or error}): free space, or make the folder writable"
