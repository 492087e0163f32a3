"""How what a memory keeps is written: the system message and the turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penchant.compression.profile import Profile
from penchant.conversation.context import How, Inclusion, Spans, Why
from penchant.history.dialogue import Exchange, Instruction
from penchant.text.unicode import sanitize

INSTRUCTIONS_HEADING = "Follow these instructions in every answer:"
NOTES = "Notes about me:"
SUMMARY_HEADING = "Summary of the conversation so far:"
TURN_SEPARATOR = "\n\n"
"""Between two user turns of which the first has no answer."""


def build_messages(
    system: str, past: Sequence[Exchange], kept: Mapping[int, Inclusion], question: str
) -> list[dict[str, str]]:
    """The messages of a prompt, the question last. kept: by position in the past."""
    out = [{"role": "system", "content": system}] if system else []
    waiting: list[str] = []  # user turns that nothing answers: templates refuse two of them in a row
    for position in sorted(kept):
        user, assistant = included_text(past[position], kept[position])
        if user:
            waiting.append(user)
        if assistant and waiting:
            out.append({"role": "user", "content": TURN_SEPARATOR.join(waiting)})
            out.append({"role": "assistant", "content": assistant})
            waiting = []
    out.append({"role": "user", "content": TURN_SEPARATOR.join([*waiting, sanitize(question)])})
    return out


def system_message(system: str, instructions: Sequence[Instruction], summary: str, notes: Profile | None) -> str:
    """The system message: the system prompt, the instructions numbered, a summary, the notes."""
    parts = [sanitize(system)] if system.strip() else []
    if instructions:
        lines = (f"{number}. {sanitize(one.text)}" for number, one in enumerate(instructions, 1))
        parts.append("\n".join([INSTRUCTIONS_HEADING, *lines]))
    if summary:
        parts.append(f"{SUMMARY_HEADING}\n{sanitize(summary)}")
    if notes is not None:
        parts.append(f"{NOTES}\n{sanitize(notes.text)}")
    return "\n\n".join(parts)


def included_text(exchange: Exchange, kept: Inclusion) -> tuple[str, str]:
    """What stands in the prompt of both sides: verbatim spans, one after the other."""
    assistant = join_spans(exchange.assistant.text, kept.assistant) if exchange.assistant else ""
    return join_spans(exchange.user.text, kept.user), assistant


def join_spans(text: str, spans: Spans) -> str:
    """Spans of a turn as one text. No mark stands where something is left out: models write it in their own answers."""
    out = ""
    for at, (start, end) in enumerate(spans):
        between = text[spans[at - 1][1] : start] if at else ""
        out += (between if not between.strip() else "\n" if "\n" in between else " ") + text[start:end]
    return sanitize(out)


def whole_span(text: str | None) -> Spans:
    """The span of all of a text."""
    return ((0, len(text)),) if text else ()


def raw(exchange: Exchange, why: Why, similarity: float | None = None) -> Inclusion:
    """Both sides word for word; where the answer is missing, the user's turn alone."""
    answer = exchange.assistant.text if exchange.assistant else None
    how: How = "raw" if answer else "user-only"
    return Inclusion(exchange.number, how, why, similarity, whole_span(exchange.user.text), whole_span(answer))


def user_only(exchange: Exchange, why: Why, similarity: float | None = None) -> Inclusion:
    """The user's turn word for word, nothing of the answer."""
    return Inclusion(exchange.number, "user-only", why, similarity, whole_span(exchange.user.text))


def dropped(exchange: int, why: Why, similarity: float | None = None) -> Inclusion:
    """Nothing of an exchange."""
    return Inclusion(exchange, "dropped", why, similarity)
