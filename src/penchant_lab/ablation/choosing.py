"""Which heads, and with what weights: chosen on some histories, to be scored on another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from penchant.index.discovery import CANDIDATES
from penchant.index.score import FloatArray, standardise
from penchant.lens.conditional_logit import Example, Fit, fit_weights
from penchant_lab.ablation.axes import AblationConfig

KEPT = 6
SHARES = {"all": 1.0, "2/3": 2 / 3, "1/2": 1 / 2, "1/3": 1 / 3}


@dataclass(frozen=True)
class Choice:
    """features: [all heads, segments] -> what is weighted. heads: (layer, head) of those that count."""

    heads: tuple[tuple[int, int], ...]
    features: Callable[[FloatArray], FloatArray]
    fit: Fit

    def __call__(self, scores: FloatArray) -> FloatArray:
        return self.fit(self.features(scores))


def choose(setting: AblationConfig, examples: Sequence[Example], heads_a_layer: int) -> Choice:
    """From examples over all heads of the model, layer by layer.

    "six" is discovery in short: of the CANDIDATES best by AUC alone, fitted together, those with the six largest
    weights, fitted again. Sets without weights of their own ("layer", "all") are a mean of standardised scores; only
    the neighbours' shares are fitted.
    """
    total = examples[0].features.shape[0]
    depth = max(1, round(SHARES[setting.layers] * total / heads_a_layer))
    usable = np.arange(depth * heads_a_layer)
    features: Callable[[FloatArray], FloatArray]
    if setting.heads == "all":
        chosen, features = usable, _mean_of(usable)
    elif setting.heads == "layer":
        layers = usable.reshape(depth, heads_a_layer)
        alone = [np.mean([aucs(_mean_of(layer)(e.features), e.evidence)[0] for e in examples]) for layer in layers]
        chosen = layers[int(np.argmax(alone))]
        features = _mean_of(chosen)
    else:
        mean_auc = np.mean([aucs(example.features[usable], example.evidence) for example in examples], axis=0)
        best = usable[np.argsort(-mean_auc, kind="stable")]
        chosen = best[: 1 if setting.heads == "best" else CANDIDATES]
        if setting.heads == "six":
            weights = fit_weights(_only(examples, _rows_of(chosen))).weights
            chosen = chosen[np.sort(np.argsort(-np.array(weights), kind="stable")[:KEPT])]
        features = _rows_of(chosen)
    fit = fit_weights(_only(examples, features))
    if setting.pooling == "off":
        fit = Fit(fit.weights, 0.0, 0.0)
    heads = tuple((int(i) // heads_a_layer, int(i) % heads_a_layer) for i in chosen)
    return Choice(heads, features, fit)


def aucs(scores: FloatArray, evidence: Sequence[int]) -> FloatArray:
    """`area_under_curve` of every row: [heads, segments] -> [heads]."""
    positive = scores[:, list(evidence), None]
    others = np.delete(scores, list(evidence), axis=1)[:, None]
    won = (positive > others).mean(axis=2) + 0.5 * (positive == others).mean(axis=2)
    return np.asarray(won.mean(axis=1), dtype=np.float32)


def _rows_of(chosen: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Callable[[FloatArray], FloatArray]:
    return lambda scores: scores[chosen]


def _mean_of(chosen: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Callable[[FloatArray], FloatArray]:
    return lambda scores: standardise(scores[chosen].mean(axis=0, keepdims=True))


def _only(examples: Sequence[Example], features: Callable[[FloatArray], FloatArray]) -> list[Example]:
    return [Example(features(example.features), example.evidence) for example in examples]
