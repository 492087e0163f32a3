"""What a retriever and a compressor of any framework return: passages of a history, and shortened texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penchant.asked import Who
from penchant.errors import InputError
from penchant.history.records import History, Record
from penchant.personalizer import Personalizer


@dataclass(frozen=True)
class Passage:
    """A marked segment. score: its mark, higher is better. record: the one that it is of."""

    text: str
    score: float
    record: Record

    @property
    def about(self) -> dict[str, Any]:
        """The record's fields that are set, for the metadata of a document."""
        one = self.record
        when = one.when.isoformat() if one.when else None
        fields = {"record": one.id, "when": when, "kind": one.kind, "label": one.label}
        return {**one.meta, **{name: value for name, value in fields.items() if value is not None}}


def passages(personalizer: Personalizer, who: Who, query: str, *, k: int | None, budget: int | str) -> list[Passage]:
    """Return the `k` best segments of a history, best first; with None, those that fill a profile of `budget` tokens.

    Raises as `Personalizer.compress`, and `InputError` for a `k` below 1.
    """
    history = personalizer.history(who)
    if k is None:
        profile = personalizer.compress(history, query, budget)
        found = sorted(zip(profile.segments, profile.scores, strict=True), key=lambda one: -one[1])
    elif k < 1:
        raise InputError(f"k is {k}: expected at least 1")
    else:
        marks = personalizer.mark(history, query)
        found = [(marks.segments[at], float(marks.scores[at])) for at in marks.ranked()[:k]]
    return [Passage(segment.text, score, history[segment.record]) for segment, score in found]


def shortened(
    personalizer: Personalizer, texts: Sequence[str], query: str, budget: int | str
) -> list[tuple[int, str, float]]:
    """Shorten texts to what matters for a query, verbatim, within a budget of tokens for all of them together: (number
    of the text, what is left of it, its best mark), best first. Texts of which nothing is left are dropped.

    Raises as `Personalizer.compress`.
    """
    there = [number for number, text in enumerate(texts) if text.strip()]
    if not there:
        return []
    history = History(Record(texts[number], id=str(number)) for number in there)
    profile = personalizer.compress(history, query, budget)
    parts: dict[int, list[tuple[str, float]]] = {}
    for segment, score in zip(profile.segments, profile.scores, strict=True):  # in the order of the texts
        parts.setdefault(int(segment.record_id), []).append((segment.text.strip(), score))
    left = [
        (number, " ".join(text for text, _ in some), max(score for _, score in some)) for number, some in parts.items()
    ]
    return sorted(left, key=lambda one: -one[2])
