"""What the store tells about its contents."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """How many of the given records were added, replaced or unchanged."""

    added: int = 0
    unchanged: int = 0
    replaced: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.added + other.added, self.unchanged + other.unchanged, self.replaced + other.replaced)


@dataclass(frozen=True)
class UserEntry:
    """A user in the list of users."""

    user: str
    records: int
