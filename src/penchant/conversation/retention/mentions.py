"""Finds where a text says what is to be forgotten (`mentions`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial

from penchant.conversation.attribution import mostly_others, others_words
from penchant.conversation.facts.languages import Language
from penchant.conversation.facts.languages import languages as fact_languages
from penchant.conversation.facts.statements import claim_in
from penchant.conversation.retention.languages import languages
from penchant.conversation.retention.wishes import ForgetRequest
from penchant.history.records import Record
from penchant.history.segmentation import segment_record
from penchant.text.terms import split_words

Span = tuple[int, int]

_PLAIN = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "\u00a0": " ", "\u202f": " "})
_STOP = re.compile(r"\s*[,;:–—…]+\s*|\s-\s")
_WORD = re.compile(r"[^\W_]+(?:'s\b)?")
_OPENS = re.compile(r"^(?:and|but|or|und|aber|oder|et|mais|ou|y|pero|o|e|ma)\b\s*", re.IGNORECASE)
LEAST = 0.5
"""Least share of a clause's words that a statement must make up: "I'm vegetarian" isn't said by "I love vegetarian food
in Rome"."""
BETWEEN = 2
"""How many words may stand between "my" and a topic: "my new phone number"."""


def mentions(text: str, request: ForgetRequest, code: str) -> tuple[Span, ...]:
    """Return the characters [start, end) of a user's text that say what is to be forgotten, in order. code: the
    request's language.

    A statement is said by a clause with all its words, hardly any others, the same subject and no other polarity
    ("my sister lives in Porto" doesn't say "I live in Porto"). A topic is named by "my" and its words. The span is the
    clause, or its sentence if that says nothing else; others' words say nothing.
    """
    language = fact_languages().get(code)
    if language is None or not request.wanted:
        return ()
    plain, others = text.translate(_PLAIN), others_words(text)
    wanted = request.wanted.translate(_PLAIN)
    found: list[Span] = []
    for start, end in _sentences(plain):
        if not mostly_others(others, start, end):
            says = partial(_names if request.kind == "topic" else _claims, wanted=wanted, language=language)
            found += _in_sentence(plain, start, end, says, language)
    return tuple(found)


def answers_with(text: str, request: ForgetRequest, code: str, *, direct: bool) -> tuple[Span, ...]:
    """Return the sentences of an assistant's answer that repeat what is to be forgotten. direct: it answers a turn that
    says so, so that any of the words that matter is enough.
    """
    language = fact_languages().get(code)
    if language is None or not request.wanted:
        return ()
    wanted = frozenset(language.content(request.wanted.translate(_PLAIN)))
    plain = text.translate(_PLAIN)
    found = []
    for start, end in _sentences(plain):
        shared = wanted & frozenset(language.content(plain[start:end]))
        if wanted and (shared == wanted or (direct and shared)):
            found.append((start, end))
    return tuple(found)


def says_more(text: str, spans: Sequence[Span], code: str) -> bool:
    """Whether a text says anything outside some of its characters."""
    rest = "".join(" " if any(a <= at < b for a, b in spans) else one for at, one in enumerate(text))
    language = fact_languages().get(code)
    return bool(language.content(rest)) if language is not None else any(map(str.isalnum, rest))


def _in_sentence(plain: str, start: int, end: int, says: Callable[[str], bool], language: Language) -> Iterator[Span]:
    clauses = list(_clauses(plain, start, end, language))
    saying = [span for span in clauses if says(plain[slice(*span)])]
    rest = [span for span in clauses if span not in saying]
    if saying and any(language.content(plain[slice(*span)]) for span in rest):
        yield from saying
    elif saying or says(plain[start:end]):
        yield start, end


def _claims(clause: str, wanted: str, language: Language) -> bool:
    """Whether a clause claims the same as a statement: neither denies what the other says."""
    return any(
        affirmed == other and words <= found and (len(words) - 1) >= LEAST * (len(found) - 1)
        for affirmed, words in _claimed(wanted, language.code)
        for other, found in _claimed(clause, language.code)
    )


@lru_cache(maxsize=4096)
def _claimed(sentence: str, code: str) -> Sequence[tuple[bool, frozenset[str]]]:
    claim = claim_in(sentence, fact_languages()[code])
    if claim is None:
        return ()
    said = [(True, claim.words)] if claim.words else []
    return [*said, *((False, words) for words in (*claim.over, *claim.denies))]


def _names(clause: str, wanted: str, language: Language) -> bool:
    """Whether a clause has "my" or "I have a" and the words of a topic, and not "my brother's" before them."""
    topic = [language.stem(word) for word in split_words(wanted)]
    while topic and (len(topic) > 1) and (_mine(topic[0], language.code) or topic[0] in language.articles):
        topic = topic[1:]
    words = [match.group().lower() for match in _WORD.finditer(clause)]
    stems = [language.stem(word.removesuffix("'s")) for word in words]
    owned = languages()[language.code].find("have", clause)
    has = len(_WORD.findall(clause[: owned.end()])) - 1 if owned else -1
    for at, word in enumerate(words):
        if at == has or _mine(word, language.code):
            for begun in range(at + 1, at + 2 + BETWEEN):
                if any(one.endswith("'s") for one in words[at + 1 : begun]):
                    break
                if topic and stems[begun : begun + len(topic)] == topic:
                    return True
    return False


def _mine(word: str, code: str) -> bool:
    return any(pattern.fullmatch(word) for pattern in languages()[code].patterns["mine"])


def _sentences(plain: str) -> Iterator[Span]:
    if plain.strip():
        for piece in segment_record(Record(plain), 0, "sentence"):
            yield piece.start, piece.end


def _clauses(plain: str, start: int, end: int, language: Language) -> Iterator[Span]:
    """Yield the clauses of a sentence, without white space, stops and a conjunction around them."""
    cuts = [*_STOP.finditer(plain, start, end), *language.pattern("clause").finditer(plain, start, end)]
    at = start
    for cut, after in [*sorted(match.span() for match in cuts), (end, end)]:
        if cut >= at:
            clause = plain[at:cut]
            begun = at + len(clause) - len(clause.lstrip())
            if at > start and (opens := _OPENS.match(plain[begun:cut])):
                begun += opens.end()
            stop = at + len(clause.rstrip(" \n.!?"))
            if begun < stop:
                yield begun, stop
            at = after
