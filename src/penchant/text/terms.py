"""Index terms for lexical search: Unicode words in lower case, without stop words, as Snowball stems."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import bm25s.stopwords as lists
import regex
import snowballstemmer

from penchant.errors import InputError
from penchant.text.language import identify

# Scripts written without spaces: overlapping pairs of characters stand in for words.
UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_WORD = regex.compile(rf"(?P<run>(?:{UNSPACED}\p{{M}}*)+)|(?:(?!{UNSPACED})[\p{{L}}\p{{N}}]\p{{M}}*)+")
_ASCII_WORD = re.compile(r"[a-z0-9]+")

# code -> (Snowball's name or "" where it has none, stop words)
_LANGUAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "en": ("english", lists.STOPWORDS_EN_PLUS),
    "de": ("german", lists.STOPWORDS_GERMAN),
    "nl": ("dutch", lists.STOPWORDS_DUTCH),
    "fr": ("french", lists.STOPWORDS_FRENCH),
    "es": ("spanish", lists.STOPWORDS_SPANISH),
    "pt": ("portuguese", lists.STOPWORDS_PORTUGUESE),
    "it": ("italian", lists.STOPWORDS_ITALIAN),
    "ru": ("russian", lists.STOPWORDS_RUSSIAN),
    "sv": ("swedish", lists.STOPWORDS_SWEDISH),
    "no": ("norwegian", lists.STOPWORDS_NORWEGIAN),
    "da": ("danish", lists.STOPWORDS_DANISH),
    "tr": ("turkish", lists.STOPWORDS_TURKISH),
    "ko": ("", lists.STOPWORDS_KOREAN),
}


STOP_WORDS = frozenset(_LANGUAGES)
"""Codes of the languages with a stop-word list."""
SNOWBALL = {code: name for code, (name, _) in _LANGUAGES.items() if name}
"""Code -> the name of its stemmer."""


def split_words(text: str) -> list[str]:
    """Return the words of a text, NFKC-normalised, lower case; pairs of characters where a script has no spaces."""
    if text.isascii():  # most texts; the same rule, several times faster
        return _ASCII_WORD.findall(text.lower())
    words: list[str] = []
    for match in _WORD.finditer(unicodedata.normalize("NFKC", text).lower()):
        run = match.group()
        if match.group("run") and len(run) > 2:
            words.extend(run[i : i + 2] for i in range(len(run) - 1))
        else:
            words.append(run)
    return words


def language_of(text: str) -> str | None:
    """Return the language of a text; None if it is unknown or has no stop-word list."""
    code = identify(text)
    return code if code in STOP_WORDS else None


@dataclass(slots=True)
class Terms:
    """Turns words into index terms of one language (None: words as they are). Stems are cached."""

    language: str | None
    _stem: Callable[[str], str] | None = field(init=False)
    _stops: frozenset[str] = field(init=False)
    _known: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._stem = None
        self._stops = frozenset()
        if self.language is not None:
            check_language(self.language)
            snowball, _ = _LANGUAGES[self.language]
            self._stops = _stops(self.language)
            self._stem = snowballstemmer.stemmer(snowball).stemWord if snowball else None

    def __call__(self, words: Iterable[str]) -> list[str]:
        kept = [w for w in words if w not in self._stops]
        if self._stem is None:
            return kept
        known = self._known
        for word in kept:
            if word not in known:
                known[word] = self._stem(word)
        return [known[w] for w in kept]


def check_language(language: str) -> None:
    """Raise `InputError` unless the language has a stop-word list."""
    if language not in _LANGUAGES:
        raise InputError(
            f"no stop words for language {language!r}: expected one of {', '.join(_LANGUAGES)}, "
            "'none' (words as they are), or nothing (guess from the history)"
        )


def stop_words(language: str | None) -> frozenset[str]:
    """Return the stop words of a language as `split_words` gives them; none for one without a list."""
    return _stops(language) if language in STOP_WORDS else frozenset()


_STOP_SETS: dict[str, frozenset[str]] = {}


def _stops(code: str) -> frozenset[str]:
    # The lists write "don't"; our words come out as "don" and "t".
    if code not in _STOP_SETS:
        _STOP_SETS[code] = frozenset(part for word in _LANGUAGES[code][1] for part in split_words(word))
    return _STOP_SETS[code]
