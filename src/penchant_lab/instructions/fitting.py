"""The weights of the judge and of the probe, fitted on labelled turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from penchant.conversation.instructions import probe as probing
from penchant.conversation.instructions.classification import classify
from penchant.conversation.instructions.sentences import Sentence, sentences
from penchant.models.loading import LoadedModel
from penchant_lab.detectors import judge as judging
from penchant_lab.instructions.labels import Row, spans

UNSEEN = ("last", "others", "sixth")
PROBE_THRESHOLD, PROBE_FLOOR = 0.835, 0.01
"""Sentences that the patterns pass over are many, and hardly one is an instruction, so the probe has to be sure; and as
sure of the opposite to overrule them. From 0.83 to 0.84 the figures are the same in float32 and bfloat16."""


def features(
    judge: judging.Judge, data: Sequence[Row]
) -> tuple[list[Sentence], np.ndarray[Any, Any], list[bool], list[int]]:
    """Sentences of the turns, what the judge reads of each, whether it is an instruction, and the turn it is of."""
    found = [(one, position) for position, row in enumerate(data) for one in sentences(row["text"])]
    true = [any(a < one.end and one.start < b for a, b in spans(data[position])) for one, position in found]
    return (
        [one for one, _ in found],
        judge.features([one.text for one, _ in found]),
        true,
        [position for _, position in found],
    )


def auc(values: np.ndarray[Any, Any], true: np.ndarray[Any, Any]) -> float:
    """How often a true one is above a false one."""
    above = values[true][:, None] - values[~true][None]
    return float((above > 0).mean() + (above == 0).mean() / 2)


def best_threshold(probability: np.ndarray[Any, Any], f1: Callable[[float], float]) -> float:
    """The threshold of the best F1; of equal ones the highest; 1.01 asks nothing of the judge."""
    choices = [1.01, *sorted(set(np.round(np.percentile(probability, np.arange(2, 100, 2)), 4).tolist()), reverse=True)]
    best: float = max(choices, key=lambda threshold: (f1(threshold), threshold))
    return best


def fit(judge: judging.Judge, data: Sequence[Row]) -> Row:
    """Weights on the tuning half, and two thresholds: for the judge alone, and for doubtful sentences only.

    Needs scikit-learn."""
    from sklearn.linear_model import LogisticRegression

    found, read, labels, turns = features(judge, data)
    true, mean, scale = np.array(labels), read.mean(0), read.std(0)
    model = LogisticRegression(C=0.1).fit((read - mean) / scale, true)
    fitted = judging.Fitted(
        tuple(model.coef_[0].round(4).tolist()),
        round(float(model.intercept_[0]), 4),
        tuple(mean.round(4).tolist()),
        tuple(scale.round(4).tolist()),
        0.5,
    )
    probability = fitted.probability(read)
    confidences = [classify(one).confidence for one in found]
    standing = np.array([bool(row["standing"]) for row in data])

    def f1(flags: np.ndarray[Any, Any]) -> float:
        said = np.zeros(len(data), dtype=bool)
        np.logical_or.at(said, turns, flags)
        right = int((said & standing).sum())
        return float(2 * right / max(int(said.sum()) + int(standing.sum()), 1))

    sure = np.array([one == "yes" for one in confidences])
    doubt = np.array([one == "doubt" for one in confidences])
    alone = best_threshold(probability, lambda t: f1(probability >= t))
    together = best_threshold(probability, lambda t: f1(sure | (doubt & (probability >= t))))
    return {
        "weights": fitted.weights,
        "bias": fitted.bias,
        "mean": fitted.mean,
        "scale": fitted.scale,
        "threshold": together,
        "alone": alone,
        "made": {
            "of": "the tuning half of labelled.jsonl, by sentence",
            "sentences": len(true),
            "instructions": int(true.sum()),
            "doubtful": int(doubt.sum()),
            "auc of each feature": [round(auc(read[:, k], true), 3) for k in range(3)],
            "auc": round(auc(probability, true), 3),
            "turn f1": {
                "patterns": round(f1(sure), 3),
                "patterns and judge": round(f1(sure | (doubt & (probability >= together))), 3),
                "judge alone": round(f1(probability >= alone), 3),
            },
            "model": judge.loaded.name,
        },
    }


def fit_probe(models: Sequence[LoadedModel], data: Sequence[Row]) -> Row:
    """Weights on what isn't kept apart, by sentence. Needs scikit-learn.

    models: one model in several dtypes. Each sentence is read in all of them: what differs between them is noise, as is
    what differs between processors, and a fit that has seen it leans on what stays.
    """
    from sklearn.linear_model import LogisticRegression

    some = [row for row in data if row["written"] not in UNSEEN]
    found = [(one, row) for row in some for one in sentences(row["text"])]
    true = np.array([any(a < one.end and one.start < b for a, b in spans(row)) for one, row in found])
    sites, texts = probing.sites_of(models[0]), [one.text for one, _ in found]
    read = np.concatenate([part for loaded in models for part in probing.read(loaded, texts, sites)])
    mean, scale = read.mean(0), read.std(0)
    regression = LogisticRegression(C=0.03 / len(models), max_iter=3000)
    model = regression.fit((read - mean) / scale, np.tile(true, len(models)))
    weights = model.coef_[0] / scale
    return {
        "sites": list(map(str, sites)),
        "weights": [float(f"{weight:.4g}") for weight in weights],
        "bias": round(float(model.intercept_[0] - weights @ mean), 4),
        "threshold": PROBE_THRESHOLD,
        "floor": PROBE_FLOOR,
        "made": {
            "of": "labelled.jsonl but for its last turns, and probed.jsonl",
            "read in": [str(loaded.model.dtype).removeprefix("torch.") for loaded in models],
            "sentences": len(true),
            "instructions": int(true.sum()),
        },
    }
