"""The phrases of statements, one TOML file per language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import snowballstemmer

from penchant.text.phrases import compile_phrases, read_languages
from penchant.text.terms import SNOWBALL, STOP_WORDS, Terms, split_words

FOLDER = Path(__file__).parent
PHRASES = (
    *("says", "mine", "never", "before", "opens", "also"),
    *("over", "not", "hedge", "again", "clause", "joke", "whose", "others"),
)
FIELDS = (
    *PHRASES,
    *("hints", "articles", "cut", "jobs", "topics", "persons", "pets", "words", "examples"),
    *("qualifiers", "idle", "alike", "apart", "denials"),
)
"""docs/methods/facts.md says what each is for."""
VALUE = r"(?P<value>[^,;:!?\n()]{1,60})"
"""What %value% stands for; `articles` and `cut` shorten what it matches."""
KIND = r"(?P<kind>(?:[\w'-]+ ){0,2}?)"
"""What %kind% stands for: words before a role that make another of it ("eye" doctor)."""
AFTER = r"(?P<kind>(?: [\w'-]+){0,3}?)"
"""What %after% stands for: the same behind a role ("médecin du sport")."""
_CONTENT = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")  # "gluten-free" has nothing to do with gluten


@dataclass(frozen=True)
class Topic:
    """One pattern of a topic. about: the key, with {role} for the key of the role. says: a pattern with the optional
    groups "value" and "role". proper: the value is a name. ended: it says that something is over. among: the value must
    be one of these words.
    """

    about: str
    says: re.Pattern[str]
    proper: bool = False
    ended: bool = False
    among: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Language:
    """The phrases of one language; every field is optional in its file. In the text, every apostrophe is replaced by
    "'".
    """

    code: str
    data: Mapping[str, Any]

    @cached_property
    def hints(self) -> frozenset[str]:
        return frozenset(self.data.get("hints", ()))

    @cached_property
    def articles(self) -> frozenset[str]:
        return frozenset(self.data.get("articles", ()))

    @cached_property
    def cut(self) -> frozenset[str]:
        return frozenset(self.data.get("cut", ()))

    @cached_property
    def roles(self) -> Mapping[str, str]:
        """Words for people and animals, with the key of each."""
        named = {**self.data.get("persons", {}), **self.data.get("pets", {})}
        return {word.lower(): key for key, words in named.items() for word in words}

    @cached_property
    def qualifiers(self) -> tuple[tuple[str, re.Pattern[str]], ...]:
        """What makes another fact of one ("weekend"), with the phrases that say it."""
        return tuple((key, self._compile(phrases)) for key, phrases in self.data.get("qualifiers", {}).items())

    @cached_property
    def apart(self) -> frozenset[str]:
        """Words of having, dislike and harm, as `content` gives them: who gives up coffee is still allergic to it."""
        return frozenset(word for one in self.data.get("apart", ()) for word in self.content(one))

    def excluded(self, sentence: str) -> list[list[str]]:
        """Return the content of what can't be true together with a sentence, by `denials`."""
        return [
            self.content(denied.format(**match.groupdict()))
            for says, denies in self._denials
            for match in says.finditer(sentence)
            for denied in denies
        ]

    def content(self, text: str) -> list[str]:
        """Return the words that a claim consists of: keys of `alike` or stems, without stop words, numbers and `idle`
        ones.
        """
        found = []
        for word in _CONTENT.findall(text.lower()):
            if word in self._alike:
                found.append(self._alike[word])
            elif word not in self._idle and (kept := self._terms(split_words(word))):
                found.append("-".join(kept))
        return found

    @cached_property
    def topics(self) -> tuple[Topic, ...]:
        among = frozenset(self.data.get("jobs", ()))
        return tuple(
            Topic(
                one["about"],
                self._compile([one["says"]] if isinstance(one["says"], str) else one["says"]),
                one.get("proper", False),
                one.get("ended", False),
                among if one.get("among") == "jobs" else frozenset(),
            )
            for one in self.data.get("topics", ())
        )

    def is_neutral(self, word: str) -> bool:
        """Whether a word before or behind a role makes no other fact of it ("new", "of", "the")."""
        return word in self._idle or word in self.articles or word in self.cut

    def pattern(self, name: str) -> re.Pattern[str]:
        """Return the compiled phrases of a field; without phrases it matches nothing."""
        if name not in self._compiled:
            self._compiled[name] = self._compile(list(self.data.get(name, ())))
        return self._compiled[name]

    def stem(self, word: str) -> str:
        """Return the stem of a word; the word itself if there is no stemmer."""
        stemmer = SNOWBALL.get(self.code)
        return str(snowballstemmer.stemmer(stemmer).stemWord(word)) if word and stemmer else word

    @cached_property
    def _denials(self) -> list[tuple[re.Pattern[str], list[str]]]:
        return [(self._compile([one["says"]]), one["denies"]) for one in self.data.get("denials", ())]

    @cached_property
    def _idle(self) -> frozenset[str]:
        return frozenset(self.data.get("idle", ()))

    @cached_property
    def _alike(self) -> Mapping[str, str]:
        return {word: key for key, words in self.data.get("alike", {}).items() for word in words}

    @cached_property
    def _terms(self) -> Terms:
        return Terms(self.code if self.code in STOP_WORDS else None)

    @cached_property
    def _compiled(self) -> dict[str, re.Pattern[str]]:
        return {}

    def _compile(self, phrases: list[str]) -> re.Pattern[str]:
        own = {"value": VALUE, "kind": KIND, "after": AFTER}
        for name, field in (("person", "persons"), ("pet", "pets")):
            listed = sorted(
                (word for words in self.data.get(field, {}).values() for word in words), key=len, reverse=True
            )
            own[name] = f"(?P<role>{'|'.join(listed) or '(?!)'})"
        return compile_phrases(phrases, {**self.data.get("words", {}), **own})


def languages() -> Mapping[str, Language]:
    """Read all languages of `FOLDER`, by code. Raises `InputError` for an invalid file."""
    return _read(FOLDER)


@cache
def _read(folder: Path) -> Mapping[str, Language]:
    return {code: Language(code, data) for code, data in read_languages(folder, FIELDS).items()}
