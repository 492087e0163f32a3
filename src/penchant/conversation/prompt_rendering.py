"""How what a memory keeps is written: the system message and the turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penchant.compression.profile import Profile
from penchant.conversation.context import How, Kept, Spans, Why
from penchant.history.dialogue import Exchange, Instruction
from penchant.text.unicode import sanitize

INSTRUCTIONS = "Follow these instructions in every answer:"
NOTES = "Notes about me:"
SUMMARY = "Summary of the conversation so far:"
SEAM = "\n\n"
"""Between two user turns of which the first has no answer."""


def messages_of(system: str, past: Sequence[Exchange], kept: Mapping[int, Kept], question: str) -> list[dict[str, str]]:
    """The messages of a prompt, the question last. kept: by position in the past."""
    out = [{"role": "system", "content": system}] if system else []
    waiting: list[str] = []  # user turns that nothing answers: templates refuse two of them in a row
    for position in sorted(kept):
        user, assistant = said(past[position], kept[position])
        if user:
            waiting.append(user)
        if assistant and waiting:
            out.append({"role": "user", "content": SEAM.join(waiting)})
            out.append({"role": "assistant", "content": assistant})
            waiting = []
    out.append({"role": "user", "content": SEAM.join([*waiting, sanitize(question)])})
    return out


def system_text(system: str, instructions: Sequence[Instruction], summary: str, notes: Profile | None) -> str:
    """The system message: the system prompt, the instructions numbered, a summary, the notes."""
    parts = [sanitize(system)] if system.strip() else []
    if instructions:
        lines = (f"{number}. {sanitize(one.text)}" for number, one in enumerate(instructions, 1))
        parts.append("\n".join([INSTRUCTIONS, *lines]))
    if summary:
        parts.append(f"{SUMMARY}\n{sanitize(summary)}")
    if notes is not None:
        parts.append(f"{NOTES}\n{sanitize(notes.text)}")
    return "\n\n".join(parts)


def said(exchange: Exchange, kept: Kept) -> tuple[str, str]:
    """What stands in the prompt of both sides: verbatim spans, one after the other."""
    assistant = joined(exchange.assistant.text, kept.assistant) if exchange.assistant else ""
    return joined(exchange.user.text, kept.user), assistant


def joined(text: str, spans: Spans) -> str:
    """Spans of a turn as one text. No mark stands where something is left out: models write it in their own answers."""
    out = ""
    for at, (start, end) in enumerate(spans):
        between = text[spans[at - 1][1] : start] if at else ""
        out += (between if not between.strip() else "\n" if "\n" in between else " ") + text[start:end]
    return sanitize(out)


def whole(text: str | None) -> Spans:
    """The span of all of a text."""
    return ((0, len(text)),) if text else ()


def raw(exchange: Exchange, why: Why, similarity: float | None = None) -> Kept:
    """Both sides word for word; where the answer is missing, the user's turn alone."""
    answer = exchange.assistant.text if exchange.assistant else None
    how: How = "raw" if answer else "user-only"
    return Kept(exchange.number, how, why, similarity, whole(exchange.user.text), whole(answer))


def user_only(exchange: Exchange, why: Why, similarity: float | None = None) -> Kept:
    """The user's turn word for word, nothing of the answer."""
    return Kept(exchange.number, "user-only", why, similarity, whole(exchange.user.text))


def dropped(exchange: int, why: Why, similarity: float | None = None) -> Kept:
    """Nothing of an exchange."""
    return Kept(exchange, "dropped", why, similarity)
