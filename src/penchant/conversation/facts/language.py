"""What the patterns of one language are made of (`Language`, `Topic`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

VALUE = r"(?P<value>[^,;:!?\n()]{1,60})"
"""What is taken for the value; `cut` shortens it."""


@dataclass(frozen=True)
class Topic:
    """One way to say one thing. pattern: with the groups "value" and "role" where it has them. about: the key, with
    {role} for the key of the role. proper: the value is a name. ended: says that it is over. among: the value is one
    of these words, or nothing of this was said."""

    about: str
    pattern: str
    proper: bool = False
    ended: bool = False
    among: frozenset[str] = frozenset()

    @cached_property
    def regex(self) -> re.Pattern[str]:
        return compiled(self.pattern)


@dataclass(frozen=True)
class Language:
    """Patterns (`re`, case ignored, "'" for any apostrophe).

    hints: a sentence without any of these words says nothing, which spares the patterns. says: found in a sentence
    that tells something about the speaker. mine: the same, of "my NOUN is ..."; the one group of each is the noun.
    never: found in a sentence that doesn't, whatever else stands in it. before: makes what follows in the sentence
    untrue or another's words. opens: a sentence begins with it that asks for something. material: what follows in the
    turn is a text to work on. roles: words for people and things of which one has one, and their key. articles: left
    out before a value. cut: words that end a value. also: the value is one of several.
    """

    code: str
    stemmer: str
    hints: frozenset[str]
    says: tuple[str, ...]
    mine: tuple[str, ...]
    never: tuple[str, ...]
    before: str
    opens: str
    material: str
    topics: tuple[Topic, ...]
    roles: Mapping[str, str]
    articles: frozenset[str]
    cut: frozenset[str]
    also: str

    @cached_property
    def any_says(self) -> re.Pattern[str]:
        return compiled(_either(self.says))

    @cached_property
    def any_mine(self) -> re.Pattern[str]:
        return compiled(_either(self.mine))

    @cached_property
    def any_never(self) -> re.Pattern[str]:
        return compiled(_either(self.never))

    @cached_property
    def any_before(self) -> re.Pattern[str]:
        return compiled(self.before)

    @cached_property
    def any_opens(self) -> re.Pattern[str]:
        return compiled(self.opens)

    @cached_property
    def any_material(self) -> re.Pattern[str]:
        asked = rf"(?:\A|[.!?\n]\s*){self.opens}[^.?!\n:]{{0,60}}:"
        return compiled(_either((self.material, asked)))

    @cached_property
    def any_also(self) -> re.Pattern[str]:
        return compiled(self.also)


def compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def _either(patterns: tuple[str, ...]) -> str:
    return "|".join(f"(?:{pattern})" for pattern in patterns)


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def roles(text: str) -> dict[str, str]:
    """ "dentist: dentist; partner: wife husband" -> word -> key."""
    parts = (part.partition(":") for part in text.split(";"))
    return {word: key.strip() for key, _, listed in parts for word in listed.split()}


def one_of(listed: Mapping[str, str]) -> str:
    """A pattern with the group "role" for the words of some roles."""
    return f"(?P<role>{'|'.join(sorted(listed, key=len, reverse=True))})"
