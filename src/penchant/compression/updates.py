"""Updates: which later segment may say that an earlier one is no longer so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from penchant.history.records import Segment
from penchant.text.language import sample
from penchant.text.terms import language_of, split_words, stop_words

ALIKE = 0.15
"""Least similarity of two segments on one subject: a cosine over the beginnings of words, weighted by their rarity."""
WITHIN = 3
"""An update stands at most so many places behind what it updates: the request that one answers, the other answers too.

Chosen, like the constants below, on `penchant_lab.small`'s contradictions and on four conversations of LoCoMo, where
similarity alone would cost 3 to 15 points of evidence (benchmarks/results/small.md).
"""
COMMON = 8
"""A segment that is about as alike to so many others shares a form with them ("bought at the market"), no subject."""
BEGINNING = 4  # characters: "meets" and "meeting", "Chor" and "Chorproben"; no memory of words as with stems
FEW = 64  # segments: rarity among fewer is that among so many, or what two records share would hardly count


def updates(
    segments: Sequence[Segment],
    superseded: Mapping[str, str] | None = None,
    *,
    alike: float = ALIKE,
    within: int = WITHIN,
) -> npt.NDArray[np.intp]:
    """Return for each segment the position of the most similar one in a later record, the latest of several; -1 if none
    has a similarity of at least `alike`. int [segments].

    segments: best first; an update stands at most `within` places behind. superseded: records known to be replaced,
    with the records that replaced them, wherever these stand.
    """
    texts = [segment.text for segment in segments]
    common = stop_words(language_of(sample(texts)))
    words = [_words(text, common) for text in texts]
    where: dict[str, list[int]] = {}
    for position, known in enumerate(words):
        for word in known:
            where.setdefault(word, []).append(position)
    size = max(FEW, len(words))
    weight = {word: np.log1p((size - len(at) + 0.5) / (len(at) + 0.5)) ** 2 for word, at in where.items()}
    arrays = {word: np.array(at) for word, at in where.items() if len(at) > 1}
    norm = np.sqrt([max(sum(weight[word] for word in known), 1e-9) for known in words])
    record = np.array([segment.record for segment in segments])
    found = np.full(len(segments), -1, dtype=np.intp)
    for position, known in enumerate(words):
        shared = np.zeros(len(segments))
        for word in known & arrays.keys():
            shared[arrays[word]] += weight[word]
        cosine = np.where(record == record[position], 0.0, shared / (norm * norm[position]))
        near = np.arange(len(segments)) <= position + within
        alikeness = np.where(near & (record > record[position]), cosine, 0.0)
        best = float(alikeness.max(initial=0.0))
        if best >= alike and np.count_nonzero(cosine > best / 2) < COMMON:
            same = np.flatnonzero(alikeness >= best - 1e-9)
            found[position] = same[record[same].argmax()]
    if superseded:
        first = {segment.record_id: position for position, segment in reversed(list(enumerate(segments)))}
        for position, segment in enumerate(segments):
            if (by := superseded.get(segment.record_id)) in first:
                found[position] = first[by]
    return found


def _words(text: str, common: frozenset[str]) -> set[str]:
    """Return the beginnings of the words of a text without `common` ones, and those of its own language."""
    empty = common | stop_words(language_of(text))
    return {word[:BEGINNING] for word in split_words(text) if word not in empty}


def updates_first(newer: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return the order of segments that are given best first, each moved up to stand before those that it updates.

    newer: from `updates`.
    """
    order: dict[int, None] = {}
    for first in range(len(newer)):
        chain: dict[int, None] = {}
        at = first
        # Known updates (`superseded`) and found ones may lead in a circle.
        while at >= 0 and at not in order and at not in chain:
            chain[at] = None
            at = int(newer[at])
        order.update(dict.fromkeys(reversed(chain)))
    return np.array(list(order), dtype=np.intp)


def without_outdated(picked: Sequence[int], newer: npt.NDArray[np.intp]) -> set[int]:
    """Return the picked positions whose update, and the update of that, are picked too."""
    known = set(picked)
    while outdated := {at for at in known if newer[at] >= 0 and int(newer[at]) not in known}:
        known -= outdated
    return known
