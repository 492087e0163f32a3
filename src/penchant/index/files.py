"""An index on disk: immutable chunks (safetensors, memory-mapped) and a manifest that is replaced in one step.

A crash between the two leaves chunks that no manifest names; they are removed at the next write.
"""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from penchant.files import PART, atomic_write, write_bytes
from penchant.index.table import Chunk

MANIFEST = "manifest.json"
FORMAT = 1
_CHUNK = ".safetensors"


class CorruptIndexError(Exception):
    """The files of an index are inconsistent."""


class IndexFiles:
    """The directory of one index. `identity` names model, calibration and storage; a different one is a different
    index.
    """

    def __init__(self, directory: Path, identity: str) -> None:
        self.directory, self.identity = directory, identity
        # Holds the chunks themselves: the id of a deleted one could be reused.
        self._written: list[tuple[Chunk, dict[str, Any]]] = []

    def load(self) -> list[Chunk]:
        """The stored chunks, memory-mapped. Raises `CorruptIndexError`; an empty directory is an empty index."""
        try:
            text = self._manifest()
            while text is not None:
                try:
                    return self._load(text)
                except FileNotFoundError:
                    # Another process may have replaced manifest and chunks meanwhile.
                    before, text = text, self._manifest()
                    if text == before:
                        raise
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise CorruptIndexError(f"{type(error).__name__}: {error}") from error
        return []

    def _manifest(self) -> bytes | None:
        try:
            return (self.directory / MANIFEST).read_bytes()
        except FileNotFoundError:
            return None

    def _load(self, text: bytes) -> list[Chunk]:
        manifest: dict[str, Any] = json.loads(text)
        if manifest["format"] != FORMAT or manifest["identity"] != self.identity:
            raise CorruptIndexError("it belongs to another model, calibration or encoder")
        read = [(self._read(entry), dict(entry)) for entry in manifest["chunks"]]
        self._written = read
        return [chunk for chunk, _ in read]

    def save(self, chunks: Sequence[Chunk]) -> None:
        """Make exactly these chunks the content. Chunks already on disk aren't written again.

        Raises `OSError` (a full disk); the previous content is then unchanged.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        with FileLock(self.directory / ".lock"):
            entries = [self._entry(chunk) for chunk in chunks]
            document = {"format": FORMAT, "identity": self.identity, "chunks": entries}
            write_bytes(self.directory / MANIFEST, json.dumps(document).encode())
            named = {entry["file"] for entry in entries}
            for path in self._chunk_files():
                if path.name not in named:
                    path.unlink(missing_ok=True)
        self._written = list(zip(chunks, entries, strict=True))

    def remove(self) -> None:
        """Remove the files (works on a full disk). Raises `OSError` if that isn't allowed."""
        for path in (self.directory / MANIFEST, *self._chunk_files()):
            path.unlink(missing_ok=True)
        self._written = []

    def _chunk_files(self) -> list[Path]:
        """Return chunks, and remains of chunks and manifests from a killed process."""
        return [path for end in (_CHUNK, f"{_CHUNK}.partial", PART) for path in self.directory.glob(f"*{end}")]

    def _entry(self, chunk: Chunk) -> dict[str, Any]:
        for written, entry in self._written:
            if written is chunk and (self.directory / entry["file"]).exists():
                return entry
        path = self.directory / f"{uuid.uuid4().hex}{_CHUNK}"
        tensors = {"keys": chunk.keys.contiguous(), "spans": torch.from_numpy(chunk.spans.copy())}
        if chunk.scale is not None:
            tensors["scale"] = chunk.scale.contiguous()
        if chunk.tokens is not None:
            tensors["tokens"] = torch.from_numpy(chunk.tokens.copy())
        try:
            with atomic_write(path) as part:
                save_file(tensors, part)
                checksum = _checksum(part)
        except SafetensorError as error:
            raise OSError(f"can't write {path.name}: {error}") from error
        records = [[key[0], key[1], rows] for key, rows in chunk.records]
        return {"file": path.name, "crc32": checksum, "records": records}

    def _read(self, entry: dict[str, Any]) -> Chunk:
        path = self.directory / str(entry["file"])
        if _checksum(path) != entry["crc32"]:
            raise CorruptIndexError(f"{path.name} isn't what was written")
        tensors = load_file(path)
        records = tuple(((str(i), str(digest)), int(rows)) for i, digest, rows in entry["records"])
        tokens = tensors["tokens"].numpy() if "tokens" in tensors else None
        chunk = Chunk(tensors["keys"], tensors.get("scale"), tensors["spans"].numpy(), records, tokens)
        if chunk.rows != sum(rows for _, rows in records) or chunk.rows != len(chunk.spans):
            raise CorruptIndexError(f"{path.name} has {chunk.rows} rows, its records have others")
        return chunk


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while part := file.read(1 << 22):
            value = zlib.crc32(part, value)
    return value
