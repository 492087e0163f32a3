"""ROUGE-L: the overlap of two texts, in any script."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

_TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0eff]|"  # scripts without spaces: a character each
    r"[^\W_\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0eff]+"
)


def rouge_l(truth: str, text: str) -> float:
    """Return the F-measure of the longest common subsequence of words, 0 to 1, as rouge-score computes it without
    stemming. Words are runs of letters and digits of any script; for English text they equal those of rouge-score.
    """
    return float(_scorer().score(truth, text)["rougeL"].fmeasure)


class _Words:
    def tokenize(self, text: str) -> list[str]:
        return _TOKEN.findall(text.lower())


@cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer  # imports nltk: a second that most commands don't need

    return RougeScorer(["rougeL"], tokenizer=_Words())
