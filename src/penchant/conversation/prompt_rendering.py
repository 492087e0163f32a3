"""Rendering a memory's choice as a prompt (system message and turns), and counting its tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from penchant.compression.budget import count_tokens
from penchant.compression.profile import Profile
from penchant.conversation.attribution.others import others_words
from penchant.conversation.context import How, Inclusion, Spans, Why
from penchant.history.dialogue import Exchange, Instruction
from penchant.marking.lru import LRU, digest
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import opening_ids
from penchant.text.unicode import sanitize

_REMEMBERED = 65_536  # cached counts of pieces
_SAMPLE = "a"

INSTRUCTIONS_HEADING = "Follow these instructions in every answer:"
NOTES_HEADING = "Notes about me:"
ABOUT_HEADING = "Notes about the user:"
ASSISTANT = "You are a helpful assistant."
USE_NOTES = "Use the notes about the user. Be brief and specific."
SUMMARY_HEADING = "Summary of the conversation so far:"
_OWN = re.compile(
    r"\b(?:i|im|my|mine|myself|we|our|ich|mein\w*|wir|unser\w*|je|mon|ma|mes|nous|notre|nos|yo|mis?|nuestr\w*|io|mi[oae]|miei|"
    r"nostr\w*)\b|\bj['’]",
    re.IGNORECASE,
)
"""Words with which users speak of themselves, in the languages whose statements are found."""
TURN_SEPARATOR = "\n\n"
"""Between two user turns if the first one has no answer."""


class TokenCounter:
    """Counts tokens for one model's prompts. Only a digest and the count of a counted text are kept."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self._known: LRU[int] = LRU(_REMEMBERED)
        one = [{"role": "user", "content": _SAMPLE}]
        more = [*one, {"role": "assistant", "content": _SAMPLE}, *one]
        self.message_overhead = max(0, (self.prompt(more) - self.prompt(one)) // 2 - self.text(_SAMPLE))
        """Tokens that the template adds to a message (an estimate for both roles)."""

    def text(self, text: str) -> int:
        """Count a piece alone; in a prompt it may be a few tokens more or fewer."""
        key = digest(text)
        known = self._known.get(key)
        if known is None:
            known = count_tokens(self.loaded.tokenizer, text)
            self._known.put([(key, known)])
        return known

    def message(self, text: str) -> int:
        """Estimate the tokens of a message with this content."""
        return self.text(text) + self.message_overhead if text else 0

    def prompt(self, messages: Sequence[dict[str, str]]) -> int:
        """Count the rendered prompt exactly. Raises `InputError` for messages that the template refuses."""
        return len(opening_ids(self.loaded, render_chat(self.loaded, messages)))


def build_messages(
    system: str, past: Sequence[Exchange], included: Mapping[int, Inclusion], question: str
) -> list[dict[str, str]]:
    """Return the messages of a prompt, the question last. included: by position in the past."""
    out = [{"role": "system", "content": system}] if system else []
    waiting: list[str] = []  # user turns without an answer: templates refuse two of them in a row
    for position in sorted(included):
        user, assistant = included_text(past[position], included[position])
        if user:
            waiting.append(user)
        if assistant and waiting:
            out.append({"role": "user", "content": TURN_SEPARATOR.join(waiting)})
            out.append({"role": "assistant", "content": assistant})
            waiting = []
    out.append({"role": "user", "content": TURN_SEPARATOR.join([*waiting, question])})
    return out


def system_message(system: str, instructions: Sequence[Instruction], summary: str, notes: Profile | None) -> str:
    """Return the system message: system prompt, numbered instructions, summary, notes."""
    parts = [sanitize(system)] if system.strip() else []
    if instructions:
        parts.append("\n".join([INSTRUCTIONS_HEADING, *instruction_lines(instructions)]))
    if summary:
        parts.append(f"{SUMMARY_HEADING}\n{sanitize(summary)}")
    if notes is not None:
        parts.append(f"{NOTES_HEADING}\n{sanitize(notes.text)}")
    return "\n\n".join(parts)


def turn_layout(
    system: str, instructions: Sequence[Instruction], summary: str, notes: Profile | None, question: str
) -> tuple[str, str]:
    """Return the system message and the last user message of the layout "turn".

    Instructions follow the question, in the words in which they were given. Notes stand before a question in which the
    user speaks of themselves, and otherwise in the system message: right before "Tell me a joke", a small model repeats
    them instead of answering. They are left out where only somebody else speaks of themselves (a pasted letter): a
    small model gives the user's name to the writer.
    """
    parts = [question]
    if notes is not None and others_speak(question) and not of_themselves(question):
        notes, system = None, system.strip() or ASSISTANT
    if notes is not None:
        about = f"{ABOUT_HEADING}\n{sanitize(notes.text)}"
        system = f"{system.strip() or ASSISTANT} {USE_NOTES}"
        if of_themselves(question):
            parts.insert(0, about)
        else:
            system = f"{system}\n\n{about}"
    if lines := [text for one in instructions if (text := sanitize(one.text).strip()) not in question]:
        parts.append("\n".join(lines))
    return system_message(system, (), summary, None), TURN_SEPARATOR.join(parts)


def of_themselves(question: str) -> bool:
    """Whether users speak of themselves, not somebody else in a text that they quote or paste."""
    others = others_words(question)
    ends, starts = [0, *(one.end for one in others)], [*(one.start for one in others), len(question)]
    return any(_OWN.search(question[start:end]) for start, end in zip(ends, starts, strict=True))


def others_speak(text: str) -> bool:
    """Whether somebody else speaks of themselves in a turn: in a letter that the user pastes, or a quotation."""
    return any(_OWN.search(text[one.start : one.end]) for one in others_words(text))


def instruction_lines(instructions: Sequence[Instruction]) -> list[str]:
    """Return the instructions as lines, numbered from 1."""
    return [f"{number}. {sanitize(one.text)}" for number, one in enumerate(instructions, 1)]


def included_text(exchange: Exchange, included: Inclusion) -> tuple[str, str]:
    """Return the text of both sides in the prompt: verbatim spans, joined."""
    assistant = join_spans(exchange.assistant.text, included.assistant) if exchange.assistant else ""
    return join_spans(exchange.user.text, included.user), assistant


def join_spans(text: str, spans: Spans) -> str:
    """Join spans of a turn. Gaps aren't marked: models would copy the mark into their answers."""
    out = ""
    for at, (start, end) in enumerate(spans):
        between = text[spans[at - 1][1] : start] if at else ""
        out += (between if not between.strip() else "\n" if "\n" in between else " ") + text[start:end]
    return sanitize(out)


def whole_span(text: str | None) -> Spans:
    """Return the span of a whole text."""
    return ((0, len(text)),) if text else ()


def raw(exchange: Exchange, why: Why, similarity: float | None = None) -> Inclusion:
    """Both sides verbatim; if the answer is missing, the user's turn alone."""
    answer = exchange.assistant.text if exchange.assistant else None
    how: How = "raw" if answer else "user-only"
    return Inclusion(exchange.number, how, why, similarity, whole_span(exchange.user.text), whole_span(answer))


def user_only(exchange: Exchange, why: Why, similarity: float | None = None) -> Inclusion:
    """The user's turn verbatim, without the answer."""
    return Inclusion(exchange.number, "user-only", why, similarity, whole_span(exchange.user.text))


def dropped(exchange: int, why: Why, similarity: float | None = None) -> Inclusion:
    """Nothing of an exchange."""
    return Inclusion(exchange, "dropped", why, similarity)
