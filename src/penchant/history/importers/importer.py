"""What an importer is: how a format is read, and what it says of itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass

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
