"""BM25 over the segments (Robertson and Zaragoza, 2009), through the bm25s library."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from penchant.history.records import History, Request, Segment
from penchant.marking.incremental import IncrementalCache
from penchant.marking.lru import LRU, digest
from penchant.marking.marks import Marker, Marks
from penchant.text.bm25 import GrowingIndex, TextIndex
from penchant.text.terms import check_language

if TYPE_CHECKING:
    from penchant.marking.resources import Resources

_HISTORIES_KEPT = 8


def bm25(language: str | None = None) -> Marker:
    """Make a marker that scores segments by BM25 against the request's query (without its task).

    language: a two-letter code, "none" for bare words, or nothing: identified from the history. The
    indexes of the last 8 histories stay in memory. A request that shares no term with the history scores 0
    everywhere. No model runs: `history_tokens` is 0 (not measured).

    k1 = 0.9, b = 0.4, stop words and stems were chosen on LoCoMo (docs: markers), where plain words are weaker.

    Raises `InputError` for a language without a stop-word list.
    """
    if language not in (None, "none"):
        check_language(str(language))
    indexes: LRU[TextIndex] = LRU(_HISTORIES_KEPT)

    def mark(history: History, request: Request, segments: Sequence[Segment]) -> Marks:
        began = time.perf_counter()
        texts = [s.text for s in segments]
        key = digest(*texts)
        index = indexes.get(key)
        if index is None:
            index = TextIndex(texts, language)
            indexes.put([(key, index)])
        encoded = time.perf_counter()
        scores = index.scores(request.query)
        seconds = {"encode": encoded - began, "mark": time.perf_counter() - encoded}
        return Marks(tuple(segments), scores, "bm25", seconds=seconds)

    return mark


def bm25_over(kept: IncrementalCache[GrowingIndex]) -> Marker:
    """Like `bm25`, with shared indexes that only read new segments when a history has grown."""

    def mark(history: History, request: Request, segments: Sequence[Segment]) -> Marks:
        began = time.perf_counter()
        index = kept.of(history, segments)
        encoded = time.perf_counter()
        scores = index.scores(request.query)
        seconds = {"encode": encoded - began, "mark": time.perf_counter() - encoded}
        return Marks(tuple(segments), scores, "bm25", seconds=seconds)

    return mark


def term_indexes() -> IncrementalCache[GrowingIndex]:
    """Return the cache of indexes for `bm25_over`."""
    return IncrementalCache(GrowingIndex, lambda index, segments: index.add([segment.text for segment in segments]))


def make(resources: Resources) -> Marker:
    """BM25 over stemmed words; runs no model."""
    return bm25_over(resources.terms)
