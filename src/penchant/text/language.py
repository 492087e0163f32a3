"""A rough guess of a text's language: enough to pick the sentence splitter's rules, no more."""

from __future__ import annotations

import re
from collections import Counter

_SAMPLE = 600  # characters looked at; rules differ by language, not by paragraph

# Script ranges -> the language whose sentence rules stand for the script. Kana and hangul come before han, because
# Japanese and Korean texts hold Chinese characters as well.
_SCRIPTS: tuple[tuple[str, str], ...] = (
    ("ja", r"[\u3040-\u30ff]"),
    ("ko", r"[\u1100-\u11ff\uac00-\ud7af]"),
    ("zh", r"[\u3400-\u9fff\U00020000-\U0002ffff]"),
    ("ru", r"[\u0400-\u052f]"),
    ("ar", r"[\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefe]"),
    ("he", r"[\u0590-\u05ff]"),
    ("el", r"[\u0370-\u03ff\u1f00-\u1fff]"),
    ("hi", r"[\u0900-\u097f]"),
    ("bn", r"[\u0980-\u09ff]"),
    ("pa", r"[\u0a00-\u0a7f]"),
    ("gu", r"[\u0a80-\u0aff]"),
    ("ta", r"[\u0b80-\u0bff]"),
    ("te", r"[\u0c00-\u0c7f]"),
    ("kn", r"[\u0c80-\u0cff]"),
    ("ml", r"[\u0d00-\u0d7f]"),
    ("th", r"[\u0e00-\u0e7f]"),
    ("my", r"[\u1000-\u109f]"),
    ("am", r"[\u1200-\u137f]"),
    ("hy", r"[\u0530-\u058f]"),
    ("km", r"[\u1780-\u17ff]"),
)
_SCRIPT_PATTERNS = tuple((language, re.compile(pattern)) for language, pattern in _SCRIPTS)
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")

# Function words that one language uses all the time and the others hardly ever.
_FUNCTION_WORDS = {
    "en": "the and of is was with that this it for you have are not",
    "de": "der und ist nicht das ich ein eine mit wir auf dem den zu auch sich von uns",
    "fr": "le les est et une des je pas vous dans qui du que il nous pour avec",
    "es": "el los las y una por con para pero muy del que yo es está",
    "it": "il gli che di non una per sono della con è ho anche",
    "pt": "o os uma não em para com do da que eu é muito você",
    "nl": "het een van ik niet en dat met voor zijn we maar ook",
    "pl": "nie jest się na w z że do to jak ale już",
}
_WORDS = {language: frozenset(words.split()) for language, words in _FUNCTION_WORDS.items()}


def guess_language(text: str) -> str:
    """ISO 639-1 code: by script, and among Latin-script languages by function words ("en" when in doubt)."""
    sample = text[:_SAMPLE]
    counts = {language: len(pattern.findall(sample)) for language, pattern in _SCRIPT_PATTERNS}
    latin = len(_LATIN.findall(sample))
    if counts["ja"] and counts["ja"] * 8 >= counts["zh"]:
        counts["ja"] += counts["zh"]
    language, most = max(counts.items(), key=lambda pair: pair[1])
    # A Chinese character stands for about a word, a Latin letter for a fifth of one.
    weight = 3 if language in ("ja", "zh", "ko") else 1
    if most * weight > latin:
        return language
    words = Counter(re.findall(r"[^\W\d_]+", sample.lower()))
    votes = {name: sum(words[word] for word in known) for name, known in _WORDS.items()}
    best = max(votes, key=lambda name: votes[name])
    return best if votes[best] > votes["en"] else "en"
