"""Formats by name. A built-in one is a line here; a package adds one through the entry points `penchant.importers`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from penchant.extensions import Registry

if TYPE_CHECKING:
    from penchant.history.importers.importer import Importer
    from penchant.history.importers.reading import Pair

IMPORTERS: Registry[Importer] = Registry(
    "format",
    "penchant.importers",
    {
        name: f"penchant.history.importers.{name}:IMPORTER"
        for name in ("jsonl", "csv", "movielens", "lamp", "locomo", "chatgpt", "goodreads", "mbox", "gitlog")
    },
    expects="penchant.history.importers.importer:Importer",
)


def read_format(name: str, path: str | Path, *, user: str | None = None, **options: object) -> Iterator[Pair]:
    """Yield the (user, record) pairs of a file in a format of `IMPORTERS`. Raises `InputError` at once for an unknown
    format or option, and during reading for errors in the file.
    """
    from penchant.options import check_options  # imports pydantic, which a list of the formats doesn't need

    importer = IMPORTERS.find(name)
    check_options(importer.read, options, name, besides=("user",))
    return importer.read(path, user=user, **options)
