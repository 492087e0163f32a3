"""BM25 over a handful of texts (Robertson and Zaragoza, 2009), through the bm25s library."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import bm25s
import numpy as np
import numpy.typing as npt

from penchant.history.words import Terms, guess_language, split_words

_K1, _B = 0.9, 0.4


class TextIndex:
    """Texts to be searched. language: as in `marking.lexical.bm25`, which says where k1 and b are from."""

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

    def scores(self, query: str) -> npt.NDArray[np.float32]:
        """BM25 of each text, in order; 0 for one that shares no term with the query."""
        known = (self._vocabulary.get(t) for t in self._terms(split_words(query)))
        ids = [i for i in known if i is not None]
        if not ids:
            return np.zeros(self._size, dtype=np.float32)
        return np.asarray(self._bm25.get_scores_from_ids(ids), dtype=np.float32)
