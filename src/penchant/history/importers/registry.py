"""The formats by name, and the checks that all of them share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from penchant.errors import InputError
from penchant.history.importers import chatgpt, csv, gitlog, goodreads, jsonl, lamp, locomo, mbox, movielens
from penchant.history.importers.reading import Pair


@dataclass(frozen=True)
class Importer:
    """A format. `several_users`: the file says whose the records are, and the option `user` picks one of them;
    otherwise `user` is needed and says whose they are."""

    read: Callable[..., Iterator[Pair]]
    summary: str
    several_users: bool = False

    @property
    def options(self) -> dict[str, object]:
        """Names and default values of the options, `user` left out."""
        parameters = inspect.signature(self.read).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "user"}


IMPORTERS: dict[str, Importer] = {
    "jsonl": Importer(jsonl.read, "Penchant's history file, JSON Lines"),
    "csv": Importer(csv.read, "a table; options map its columns", several_users=True),
    "movielens": Importer(movielens.read, "MovieLens 100K, 1M or small, unpacked folder", several_users=True),
    "lamp": Importer(lamp.read, "LaMP 1 to 7, questions.json or its folder", several_users=True),
    "locomo": Importer(locomo.read, "LoCoMo conversations, one user each", several_users=True),
    "chatgpt": Importer(chatgpt.read, "ChatGPT data export: zip, folder or conversations.json"),
    "goodreads": Importer(goodreads.read, "Goodreads library export (csv)"),
    "mbox": Importer(mbox.read, "one's own sent mail"),
    "gitlog": Importer(gitlog.read, "commits of one author in a local git repository"),
}


def read_format(name: str, path: str | Path, *, user: str | None = None, **options: object) -> Iterator[Pair]:
    """The (user, record) pairs of a file in a format of `IMPORTERS`. Raises `InputError` for an unknown format or
    option at once, and for what is wrong with the file while it is read."""
    importer = IMPORTERS.get(name)
    if importer is None:
        raise InputError(f"unknown format {name!r}: expected one of {', '.join(IMPORTERS)}")
    unknown = sorted(set(options) - set(importer.options))
    if unknown:
        known = ", ".join(importer.options) or "none"
        raise InputError(f"{name} has no option {', '.join(map(repr, unknown))}: its options are {known}")
    return importer.read(path, user=user, **options)
