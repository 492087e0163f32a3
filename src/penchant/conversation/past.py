"""Past exchanges as later prompts may hold them: complete answers, without the reasoning before them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from penchant.compression.profile import Profile
from penchant.conversation.prompt_rendering import of_themselves, others_speak
from penchant.history.dialogue import Exchange, Instruction, Turn, exchanges
from penchant.text.courtesies import is_courtesy
from penchant.text.reasoning import split_reasoning
from penchant.text.repetition import repeats
from penchant.text.terms import Terms, language_of, split_words

_GREETING = 2
"""Words that may stand beside a statement without being a question: "Hi!", "btw"."""


def marked(turn: Turn) -> Turn:
    """Return a stored turn; if it doesn't say why its answer ended (older stores, imports), an answer that repeats
    itself is marked as such.
    """
    loops = turn.role == "assistant" and turn.finish is None and repeats(turn.text)
    return replace(turn, finish="repetition") if loops else turn


def readable(turns: Iterable[Turn]) -> tuple[Exchange, ...]:
    """Return the exchanges of a conversation for later prompts: without answers that were cut off, repeated themselves
    or an earlier answer, which a model would imitate, and without reasoning.
    """
    found, given = [], set[str]()
    for one in exchanges(turns):
        answer = _readable(one.assistant)
        if answer is not None:
            words = " ".join(answer.text.lower().split())
            answer = None if words in given else answer
            given.add(words)
        found.append(replace(one, assistant=answer))
    return tuple(found)


def without_courtesies(past: Iterable[Exchange]) -> tuple[Exchange, ...]:
    """Return the exchanges without greetings, thanks and goodbyes, which a small model goes on with instead of
    answering what it is asked now.
    """
    return tuple(one for one in past if not is_courtesy(one.user.text))


def without_told(
    past: Iterable[Exchange], conversation: str, notes: Profile | None, instructions: Sequence[Instruction]
) -> tuple[Exchange, ...]:
    """Return the exchanges without those in which the user only said what the notes and the instructions of the prompt
    say again: there it stands about the user, and a small model doesn't take it for its own.
    """
    said: dict[str, list[str]] = {}
    for segment in () if notes is None else notes.segments:
        said.setdefault(segment.record_id.rpartition(":")[0], []).append(segment.text)
    for one in instructions:
        if one.turn is not None:
            said.setdefault(f"said:{one.conversation}:{one.turn}", []).append(one.text)
    return tuple(one for one in past if not _told(one.user.text, said.get(f"said:{conversation}:{one.user.number}")))


def without_others(past: Iterable[Exchange], question: str, notes: Profile | None) -> tuple[Exchange, ...]:
    """Return the exchanges without those in which somebody else speaks of themselves (a pasted letter), if the user
    asks about themselves what the notes tell: a small model gives the writer's name and home as the user's. Those whose
    answer said nothing but what the notes say are left out, too: it would be given again. So are questions without an
    answer, which would stand before the new one.

    An exchange stays if the question shares a word with it that the notes don't hold ("Does the mail name my street?").
    """
    if notes is None or not of_themselves(question):
        return tuple(past)
    told = " ".join([notes.text, *(one.text for one in notes.segments)])
    terms = Terms(language_of(f"{told} {question}"))
    asked, known = set(terms(split_words(question))), set(terms(split_words(told)))
    if not asked & known:
        return tuple(past)

    def meant(text: str) -> bool:
        return not (asked - known).isdisjoint(terms(split_words(text)))

    def adds_nothing(one: Exchange) -> bool:
        said = set() if one.assistant is None else set(terms(split_words(one.assistant.text)))
        return "?" in question and said <= known | set(terms(split_words(one.user.text)))

    return tuple(one for one in past if meant(one.user.text) or not (others_speak(one.user.text) or adds_nothing(one)))


def _told(text: str, said: Sequence[str] | None) -> bool:
    rest = text
    for one in said or ():
        rest = rest.replace(one, " ")
    return said is not None and len(split_words(rest)) <= _GREETING


def _readable(turn: Turn | None) -> Turn | None:
    if turn is None or turn.cut:
        return None
    answer = split_reasoning(turn.text).answer
    return replace(turn, text=answer) if answer else None
