"""BM25 (Robertson and Zaragoza, 2009) over a fixed set of texts, through the bm25s library, or a growing one."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import bm25s
import numpy as np
import numpy.typing as npt

from penchant.text.language import SAMPLE, sample
from penchant.text.terms import Terms, language_of, split_words

_K1, _B = 0.9, 0.4


class TextIndex:
    """A fixed set of texts to search. language: as in `marking.bm25.bm25`, which gives the origin of k1 and b."""

    def __init__(self, texts: Sequence[str], language: str | None) -> None:
        words = [split_words(text) for text in texts]
        chosen = language_of(sample(texts)) if language is None else language
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


class GrowingIndex:
    """A growing set of texts. Scores equal those of a `TextIndex` of all texts so far; bm25s itself can't append. The
    language is identified from the texts.
    """

    def __init__(self) -> None:
        self._sample, self._terms = "", Terms(None)
        self._waiting: list[list[str]] = []  # words so far, while the language may still change
        self._language: str | None = None
        self._clear()

    def add(self, texts: Sequence[str]) -> None:
        """Append texts."""
        words = [split_words(text) for text in texts]
        if len(self._sample) < SAMPLE:
            self._sample = sample(texts, self._sample)
            if (language := language_of(self._sample)) != self._language:
                self._language = language
                self._terms = Terms(language)
                self._clear()
                self._index(self._waiting)
            self._waiting = [] if len(self._sample) >= SAMPLE else [*self._waiting, *words]
        self._index(words)

    def scores(self, query: str) -> npt.NDArray[np.float32]:
        """BM25 of each text, in order; 0 for one that shares no term with the query."""
        out = np.zeros(len(self._lengths), dtype=np.float32)
        if not len(out):
            return out
        lengths = np.frombuffer(self._lengths, dtype=np.int32)
        mean = self._total / len(out)
        for term in self._terms(split_words(query)):
            if term in self._where:
                where = np.frombuffer(self._where[term], dtype=np.int32)
                often = np.frombuffer(self._often[term], dtype=np.int32)
                rarity = np.log(1 + (len(out) - len(where) + 0.5) / (len(where) + 0.5))
                length = 1 - _B + _B * lengths[where] / mean
                out[where] += (rarity * often / (often + _K1 * length)).astype(np.float32)
        return out

    def _clear(self) -> None:
        self._where: dict[str, array[int]] = {}
        self._often: dict[str, array[int]] = {}
        self._lengths: array[int] = array("i")
        self._total = 0

    def _index(self, words: Sequence[Sequence[str]]) -> None:
        for text in words:
            terms = self._terms(text)
            position = len(self._lengths)
            self._lengths.append(len(terms))
            self._total += len(terms)
            for term in terms:
                where = self._where.setdefault(term, array("i"))
                often = self._often.setdefault(term, array("i"))
                if len(where) and where[-1] == position:
                    often[-1] += 1
                else:
                    where.append(position)
                    often.append(1)
