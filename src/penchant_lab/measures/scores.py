"""The metrics of tasks by name: the official ones of each data set."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from penchant.errors import InputError
from penchant.extras import require
from penchant_lab.bench.items import Item

Floats = npt.NDArray[np.float64]
OfItem = Callable[[str, Item], float | None]
OfAll = Callable[[Floats, Floats, Floats], Floats]


@dataclass(frozen=True)
class Metric:
    """Either a mean over items or a figure of all items together.

    needs: "text": what the model generated; "choice": the choice it took; "value": a number it stands for.
    of_item: (prediction, item) -> its score, None where the item can't have one; the metric is the mean over items.
    of_all: (predicted float [answers], true float [answers], weights float [resamples, answers]) -> [resamples], NaN
    where it isn't defined; for metrics that are no means of items. Exactly one of the two is there.
    caveat: what keeps the figure from being the official one on this machine, if anything does.
    """

    name: str
    title: str
    higher_is_better: bool
    needs: Literal["text", "choice", "value"]
    of_item: OfItem | None = None
    of_all: OfAll | None = None
    caveat: Callable[[], str | None] = lambda: None

    def overall(self, predicted: Sequence[float], true: Sequence[float]) -> float:
        """The metric of all answers, each counting once. Raises `InputError` for a metric that is a mean of items."""
        if self.of_all is None:
            raise InputError(f"{self.name} is a mean over items: score each answer by its of_item instead")
        sides = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
        return float(self.of_all(*sides, np.ones((1, len(predicted))))[0])

    def described(self) -> str:
        """Title, with what keeps it from being the official figure."""
        caveat = self.caveat()
        return f"{self.title} ({caveat})" if caveat else self.title


def check(names: Iterable[str]) -> None:
    """Raise `InputError` for an unknown metric, or for one whose library isn't installed, before any work starts."""
    for name in names:
        if name not in METRICS:
            raise InputError(f"no metric {name!r}: expected one of {', '.join(METRICS)}")
        if METRICS[name].needs == "text" and name != "adherence":
            package = "rouge_score" if name.startswith("rouge") else "nltk"
            require(package, extra="bench", why=f"the metric {name}")


def normalised(text: str) -> str:
    """As LoCoMo's evaluation compares texts: lower case; no punctuation; no a, an, the, and; single spaces."""
    plain = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the|and)\b", " ", plain).split())


def _accuracy(prediction: str, item: Item) -> float:
    return float(prediction.strip() in {text.strip() for text in (item.answer, *item.references)})


def _exact_match(prediction: str, item: Item) -> float:
    return float(normalised(prediction) in {normalised(text) for text in (item.answer, *item.references)})


def _locomo_f1(prediction: str, item: Item) -> float:
    """Token F1 with LoCoMo's rules by category (Maharana et al. 2024): "1" (multi-hop): answers are lists with commas,
    each true part against its best predicted part, then the mean; "3": what follows ";" in the true answer is a
    remark; "5" (adversarial): right when it is said that the conversation doesn't tell. The best of the references."""
    if item.category == "5":
        said = prediction.lower()
        return float("no information available" in said or "not mentioned" in said)
    truths = (item.answer, *item.references)
    if item.category == "3":
        truths = tuple(truth.split(";")[0] for truth in truths)
    if item.category == "1":
        return max(_f1_of_lists(prediction, truth) for truth in truths)
    return max(_token_f1(prediction, truth) for truth in truths)


def _f1_of_lists(prediction: str, truth: str) -> float:
    parts = prediction.split(",")
    return float(np.mean([max(_token_f1(part, true) for part in parts) for true in truth.split(",")]))


def _token_f1(prediction: str, truth: str) -> float:
    stem = _stemmer().stem
    said, true = (Counter(map(stem, normalised(text).split())) for text in (prediction, truth))
    same = (said & true).total()
    return 2 * same / (said.total() + true.total()) if same else 0.0


def _adherence(prediction: str, item: Item) -> float | None:
    return None if item.check is None else float(item.check.holds(prediction))


def _rouge(kind: str) -> OfItem:
    """F-measure as the official LaMP evaluation has it (rouge-score's, no stemming); the best of the references.

    The official figure of a data set is the median of bootstrap means, which this mean differs from in the fourth
    decimal."""

    def score(prediction: str, item: Item) -> float:
        truths = [text.strip() for text in (item.answer, *item.references)]
        return float(_rouge_scorer(kind).score_multi(truths, prediction.strip())[kind].fmeasure)

    return score


def _meteor(prediction: str, item: Item) -> float:
    """nltk's METEOR with its default parameters, as in the official LongLaMP evaluation; the best of the references.

    Where nltk has no WordNet data, synonyms don't match (exact words and stems do), and `Metric.caveat` says so.
    Sentences are cut by an untrained Punkt, so that no further data is needed.
    """
    nltk = _required("nltk")
    said, *truths = (_words(text) for text in (prediction, item.answer, *item.references))
    wordnet = nltk.corpus.wordnet if has_wordnet() else _NoSynonyms()
    return float(nltk.translate.meteor_score.meteor_score(truths, said, wordnet=wordnet))


class _NoSynonyms:
    def synsets(self, word: str) -> list[Any]:
        return []


def _words(text: str) -> list[str]:
    nltk = _required("nltk")
    sentences = _sentence_cutter().tokenize(text.strip())
    return [word for sentence in sentences for word in nltk.tokenize.word_tokenize(sentence, preserve_line=True)]


@cache
def has_wordnet() -> bool:
    """Whether nltk finds WordNet's data (python -m nltk.downloader wordnet)."""
    nltk = _required("nltk")
    try:
        nltk.corpus.wordnet.ensure_loaded()
    except (LookupError, OSError):  # not there, or not whole
        return False
    return True


def _without_synonyms() -> str | None:
    return None if has_wordnet() else "without synonyms: no WordNet data here"


@cache
def _stemmer() -> Any:
    return _required("nltk").stem.PorterStemmer()


@cache
def _sentence_cutter() -> Any:
    return _required("nltk").tokenize.PunktSentenceTokenizer()


@cache
def _rouge_scorer(kind: str) -> Any:
    return _required("rouge_score").rouge_scorer.RougeScorer([kind], use_stemmer=False)


def _required(package: str) -> Any:
    require(package, extra="bench", why="a metric")
    if package == "rouge_score":
        import rouge_score.rouge_scorer

        return rouge_score
    import nltk.corpus
    import nltk.stem
    import nltk.tokenize
    import nltk.translate.meteor_score

    return nltk


def _mae(predicted: Floats, true: Floats, weights: Floats) -> Floats:
    return _weighted_mean(np.abs(predicted - true), weights)


def _rmse(predicted: Floats, true: Floats, weights: Floats) -> Floats:
    return np.sqrt(_weighted_mean((predicted - true) ** 2, weights))


def _weighted_mean(values: Floats, weights: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.asarray(weights @ values / weights.sum(axis=1))


def _f1_macro(predicted: Floats, true: Floats, weights: Floats) -> Floats:
    """Mean F1 of the labels that occur among all the answers given (predicted or true). The official evaluation of
    LaMP-2 takes the mean over all 15 labels, which is the same where each of them occurs."""
    labels = np.union1d(predicted, true)
    said, is_so = predicted[:, None] == labels, true[:, None] == labels
    right, given, wanted = (weights @ hits.astype(np.float64) for hits in (said & is_so, said, is_so))
    return np.asarray((2 * right / np.maximum(given + wanted, np.finfo(np.float64).tiny)).mean(axis=1))


def _auc(predicted: Floats, true: Floats, weights: Floats) -> Floats:
    """How often a predicted number of the positives (true > 0) is above one of the others, ties counting half."""
    levels, level = np.unique(predicted, return_inverse=True)
    at = (level[:, None] == np.arange(len(levels))).astype(np.float64)
    positive = true > 0
    wins, losses = (weights * positive) @ at, (weights * ~positive) @ at
    below = np.cumsum(losses, axis=1) - losses / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((wins * below).sum(axis=1) / (wins.sum(axis=1) * losses.sum(axis=1)))


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "accuracy", True, "choice", of_item=_accuracy),
        Metric("f1_macro", "macro F1", True, "choice", of_all=_f1_macro),
        Metric("mae", "MAE", False, "value", of_all=_mae),
        Metric("rmse", "RMSE", False, "value", of_all=_rmse),
        Metric("auc", "AUC", True, "value", of_all=_auc),
        Metric("rouge1", "ROUGE-1", True, "text", of_item=_rouge("rouge1")),
        Metric("rougeL", "ROUGE-L", True, "text", of_item=_rouge("rougeL")),
        Metric("meteor", "METEOR", True, "text", of_item=_meteor, caveat=_without_synonyms),
        Metric("f1", "token F1", True, "text", of_item=_locomo_f1),
        Metric("em", "exact match", True, "text", of_item=_exact_match),
        Metric("adherence", "adherence", True, "text", of_item=_adherence),
    )
}
"""Metrics by name; each higher_is_better but the errors of numbers."""
