"""What a conversation says off the record: in this process only, for answers that are off the record too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from penchant.history.dialogue import Exchange, Turn


@dataclass
class Unkept:
    """Exchanges off the record, and whether everything is (`lasting`) until the user says otherwise.

    Answers that are kept must not see them: they might repeat them.
    """

    lasting: bool = False
    exchanges: list[tuple[int, Exchange]] = field(default_factory=list)
    """Each with how many kept exchanges were there before it."""

    def add(self, before: int, user: Turn, answer: Turn | None) -> None:
        self.exchanges.append((before, Exchange(0, user, answer)))

    def among(self, kept: Sequence[Exchange]) -> tuple[Exchange, ...]:
        """Return these and the kept exchanges in the order in which they were said, numbered anew."""
        both = [(number + 1, 1, one) for number, one in enumerate(kept)]
        both += [(before, 2, one) for before, one in self.exchanges]
        ordered = [one for *_, one in sorted(both, key=lambda entry: entry[:2])]
        return tuple(Exchange(number, one.user, one.assistant) for number, one in enumerate(ordered))
