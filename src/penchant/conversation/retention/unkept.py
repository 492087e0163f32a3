"""What a conversation says off the record: in this process only, for answers that are off the record too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from penchant.conversation.retention.mentions import answers_with, mentions
from penchant.conversation.retention.wishes import ForgetRequest, Wish
from penchant.history.dialogue import Exchange, Finish, Turn


@dataclass
class Unkept:
    """Exchanges off the record. Answers that are kept don't see them: they might repeat them.

    lasting: whether all turns are, until the user says otherwise. newest: whether the newest turn is.
    """

    lasting: bool = False
    newest: bool = False
    exchanges: list[tuple[int, Exchange]] = field(default_factory=list)
    """Each with how many kept exchanges there were before it."""

    def begin(self, wish: Wish | None, lasting: bool | None) -> bool:
        """Begin a turn, with what it says about being kept. lasting: whether all turns are off the record; None: as
        before. Returns whether this one is.
        """
        if lasting is not None:
            self.lasting = lasting
        self.newest = self.lasting or (wish is not None and wish.off_record)
        return self.newest

    def add(self, before: int, text: str, answer: str, finish: Finish) -> None:
        """Add an exchange. before: how many kept exchanges there were. An incomplete answer is left out."""
        number = -2 * len(self.exchanges) - 2  # negative, so that no kept turn has it
        complete = answer and finish == "stop"
        said = Turn(number + 1, "assistant", answer, finish=finish) if complete else None
        self.exchanges.append((before, Exchange(0, Turn(number, "user", text), said)))

    def among(self, kept: Sequence[Exchange]) -> tuple[Exchange, ...]:
        """Return these and the kept exchanges in the order in which they were said, numbered anew."""
        both = [(number + 1, 1, one) for number, one in enumerate(kept)]
        both += [(before, 2, one) for before, one in self.exchanges]
        ordered = [one for *_, one in sorted(both, key=lambda entry: entry[:2])]
        return tuple(Exchange(number, one.user, one.assistant) for number, one in enumerate(ordered))

    def forget(self, requests: Sequence[ForgetRequest], code: str) -> None:
        """Drop the exchanges that say what is to be forgotten."""

        def says(one: Exchange) -> bool:
            answer = one.assistant.text if one.assistant is not None else ""
            return any(
                mentions(one.user.text, request, code) or answers_with(answer, request, code, direct=False)
                for request in requests
            )

        if self.newest and any(request.kind == "last" for request in requests):
            del self.exchanges[-1:]
        self.exchanges = [(before, one) for before, one in self.exchanges if not says(one)]
