"""Whether a text complies with an instruction, checked by program (IFEval, Zhou et al. 2023, arXiv 2311.07911)."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from penchant.errors import InputError

Words = tuple[str, ...]


@dataclass(frozen=True)
class Check:
    """kind: a name in `CHECKS`. words: what it looks for, see there. Raises `InputError` for another kind, or words
    that the kind can't read."""

    kind: str
    words: Words = ()

    def __post_init__(self) -> None:
        if self.kind not in CHECKS:
            raise InputError(f"no check {self.kind!r}: expected one of {', '.join(CHECKS)}")
        try:
            CHECKS[self.kind]("x", self.words)
        except (ValueError, IndexError, KeyError):
            raise InputError(f"check {self.kind!r} can't read {self.words!r}: see adherence.CHECKS") from None

    def holds(self, text: str) -> bool:
        """Whether a text complies. An empty one never does."""
        return bool(text.strip()) and CHECKS[self.kind](text.strip(), self.words)


def _bare(text: str) -> str:
    return text.strip().strip('"').strip().casefold()


def ends_with(text: str, words: Words) -> bool:
    """The text ends with the phrase, whatever the case; a closing quotation mark may follow."""
    return _bare(text).endswith(_bare(words[0]))


def starts_with(text: str, words: Words) -> bool:
    """The text begins with the phrase, whatever the case; an opening quotation mark may come before."""
    return _bare(text).startswith(_bare(words[0]))


def starts_with_emoji(text: str, words: Words) -> bool:
    """The first character is the emoji that is named, or any (without words)."""
    return text.startswith(words[0]) if words else unicodedata.category(text[0]) == "So"


def mentions(text: str, words: Words) -> bool:
    """All of the words are there as whole words, whatever the case."""
    return bool(words[0]) and all(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) for word in words)


def word_count(text: str, words: Words) -> bool:
    """So many words: ("at most" | "at least" | "exactly", number)."""
    return _compared(len(re.findall(r"\w+(?:[-'’]\w+)*", text)), words)


def sentence_count(text: str, words: Words) -> bool:
    """So many sentences, as `word_count`. A sentence ends at . ! ? … before a space, at an ideographic stop, or at the
    end of a line."""
    pieces = re.split(r"(?<=[.!?…])[\"'”’)]*\s+|(?<=[。！？])|\n+", text)
    return _compared(sum(any(map(str.isalnum, piece)) for piece in pieces if piece), words)


def bullet_count(text: str, words: Words) -> bool:
    """So many lines that begin with "* " or "- ", as `word_count`."""
    return _compared(len(re.findall(r"^\s*[*•-]\s+\S", text, re.MULTILINE)), words)


def placeholder_count(text: str, words: Words) -> bool:
    """So many placeholders in square brackets, as `word_count`."""
    return _compared(len(re.findall(r"\[[^\[\]]+\]", text)), words)


def upper_case(text: str, words: Words) -> bool:
    """There are letters, and none of them is lower case."""
    return text.isupper()


def lower_case(text: str, words: Words) -> bool:
    """There are letters, and none of them is upper case."""
    return text.islower()


def no_comma(text: str, words: Words) -> bool:
    """There is no comma, in any script."""
    return not set(text) & set(",，、،")


def is_json(text: str, words: Words) -> bool:
    """The text is one JSON object or array; a code fence around it may be there."""
    inner = re.sub(r"^```(?:json)?\s*|\s*```$", "", text, flags=re.IGNORECASE)
    try:
        return isinstance(json.loads(inner), dict | list)
    except ValueError:
        return False


def two_responses(text: str, words: Words) -> bool:
    """Two different answers with six asterisks between them."""
    parts = [part.strip() for part in text.split("******")]
    return len(parts) == 2 and all(parts) and parts[0] != parts[1]


def one_of(text: str, words: Words) -> bool:
    """One of the answers that are allowed stands in the text."""
    return bool(words[0]) and any(_bare(word) in text.casefold() for word in words)


def in_language(text: str, words: Words) -> bool:
    """The text is in the language (a code in `LANGUAGES`): most of its letters are of the language's script; where
    several share it, more of its words are function words of this language than of any other, and at least one in
    ten."""
    script, _ = LANGUAGES[words[0]]
    letters = [letter for letter in text if letter.isalpha()]
    ours = sum(unicodedata.name(letter, "").startswith(script) for letter in letters)
    if not letters or 2 * ours < len(letters):
        return False
    rivals = {code: some for code, (other, some) in LANGUAGES.items() if other == script}
    if len(rivals) < 2:
        return True
    said = re.findall(r"[^\W\d_]+", text.casefold())
    hits = {code: sum(word in some for word in said) for code, some in rivals.items()}
    best = hits.pop(words[0])
    return bool(said) and 10 * best >= len(said) and best > max(hits.values())


def _compared(count: int, words: Words) -> bool:
    relation, number = words[0], int(words[1])
    return {"at most": 0 < count <= number, "at least": count >= number, "exactly": count == number}[relation]


LANGUAGES: dict[str, tuple[str, frozenset[str]]] = {
    code: (script, frozenset(words.split()))
    for code, script, words in (
        ("en", "LATIN", "the and is of to in it that you for with are this be as on not have was but they a an or"),
        (
            "de",
            "LATIN",
            "der die das und ist nicht ein eine zu mit sich auf für den dem von es ich sie wir im auch sind",
        ),
        ("fr", "LATIN", "le la les et est une un des du pour pas que qui dans vous nous il elle sur avec au ce sont"),
        ("es", "LATIN", "el los las y es una un de del para no que en con por se lo su al como más pero son la"),
        ("it", "LATIN", "il lo gli e è una un di del per non che in con si della sono alla anche più ma le la"),
        ("pt", "LATIN", "o os as e é uma um de do da para não que em com por se no na mais mas são ao"),
        ("ru", "CYRILLIC", ""),
        ("ar", "ARABIC", ""),
        ("hi", "DEVANAGARI", ""),
        ("zh", "CJK", ""),
    )
}
"""Code -> the first word of its letters' Unicode names, and some of its function words."""

CHECKS: dict[str, Callable[[str, Words], bool]] = {
    "end": ends_with,
    "start": starts_with,
    "start-emoji": starts_with_emoji,
    "mention": mentions,
    "words": word_count,
    "sentences": sentence_count,
    "bullets": bullet_count,
    "placeholders": placeholder_count,
    "upper": upper_case,
    "lower": lower_case,
    "no-comma": no_comma,
    "json": is_json,
    "two": two_responses,
    "one-of": one_of,
    "language": in_language,
}
