"""BM25 over the segments (Robertson and Zaragoza, 2009), through the bm25s library."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import chain

import bm25s
import numpy as np

from penchant.history.records import History, Request, Segment
from penchant.marking.marks import FloatArray, Marker, Marks
from penchant.marking.memo import Memo, digest
from penchant.marking.words import Terms, check_language, guess_language, split_words

_K1, _B = 0.9, 0.4
_HISTORIES_KEPT = 8


def bm25(language: str | None = None) -> Marker:
    """A marker that scores segments by BM25 against the request's query (its task is not searched for).

    language: a two-letter code, "none" for bare words, or nothing: guessed from the history's stop words. The
    indexes of the last 8 histories stay in memory. A request that shares no term with the history scores 0
    everywhere. No model runs: `history_tokens` is 0 (not measured).

    k1 = 0.9, b = 0.4, stop words and stems were chosen on LoCoMo (docs: markers), where plain words are weaker.

    Raises `InputError` for a language without a stop-word list.
    """
    if language not in (None, "none"):
        check_language(str(language))
    indexes: Memo[_Index] = Memo(_HISTORIES_KEPT)

    def mark(history: History, request: Request, segments: Sequence[Segment]) -> Marks:
        began = time.perf_counter()
        texts = [s.text for s in segments]
        key = digest(*texts)
        index = indexes.get(key)
        if index is None:
            index = _Index(texts, language)
            indexes.put([(key, index)])
        encoded = time.perf_counter()
        scores = index.scores(request.query)
        seconds = {"encode": encoded - began, "mark": time.perf_counter() - encoded}
        return Marks(tuple(segments), scores, "bm25", seconds=seconds)

    return mark


class _Index:
    def __init__(self, texts: Sequence[str], language: str | None) -> None:
        words = [split_words(text) for text in texts]
        chosen = guess_language(chain.from_iterable(words)) if language is None else language
        self._terms = Terms(None if chosen == "none" else chosen)
        self._size = len(texts)
        self._vocabulary: dict[str, int] = {}
        number = self._vocabulary.setdefault
        rows = [[number(t, len(self._vocabulary)) for t in self._terms(w)] for w in words]
        self._bm25 = bm25s.BM25(k1=_K1, b=_B, method="lucene")
        if self._vocabulary:
            self._bm25.index((rows, self._vocabulary), show_progress=False)

    def scores(self, query: str) -> FloatArray:
        known = (self._vocabulary.get(t) for t in self._terms(split_words(query)))
        ids = [i for i in known if i is not None]
        if not ids:
            return np.zeros(self._size, dtype=np.float32)
        return np.asarray(self._bm25.get_scores_from_ids(ids), dtype=np.float32)
