"""How long an instruction holds (`scope_of`)."""

from __future__ import annotations

from penchant.conversation.instructions.languages import Table
from penchant.conversation.instructions.sentences import plain_text
from penchant.history.dialogue import Scope

#: Slots for addressing the user: such instructions are meant to last, even if they don't say so.
_LASTING = ("address", "formality")


def scope_of(text: str, slot: str | None, table: Table) -> tuple[Scope, str | None]:
    """Return the scope and, for "until", the words that name the end.

    In this order: an end is named ("until ...", "as long as ...", "for the next three answers"): "until". This
    conversation, today or for now is named: "conversation". A word that looks ahead or allows no exception ("from now
    on", "always", "never", "remember"): "always". How to address the user: "always". Else: "conversation".
    """
    plain = plain_text(text)
    for name in ("counted", "until", "spanned"):
        if match := table.find(name, plain):
            return "until", text[match.start() : match.end()].strip()
    if table.find("here", table.without("durable", plain)):
        return "conversation", None
    if table.find("durable", plain) or table.find("always", plain) or slot in _LASTING:
        return "always", None
    return "conversation", None
