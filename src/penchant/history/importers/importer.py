"""`Importer`: how a format is read and described."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from penchant.history.importers.reading import Pair


@dataclass(frozen=True)
class Importer:
    """A format. `several_users`: the file names the users, and the option `user` picks one of them; otherwise `user` is
    required and owns all records.
    """

    read: Callable[..., Iterator[Pair]]
    summary: str
    several_users: bool = False

    @property
    def options(self) -> dict[str, object]:
        """Return names and defaults of the options, without `user`."""
        parameters = inspect.signature(self.read).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "user"}
