"""Detects standing instructions by a linear probe on a model's hidden states (`Probe`).

A sentence is read alone, as the beginning of a user's turn, up to a middle layer; the mean of its tokens' hidden states
at two layers goes into a logistic regression (probing after Alain and Bengio, arXiv 1610.01644). Weights are fitted on
labelled sentences once per model and shipped. The probe finds wordings without set phrases, which patterns can't, and
distinguishes rules in a pasted text from rules for the assistant.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from penchant.errors import InputError, ModelError
from penchant.index.discovery import prefix_of
from penchant.inference.batching import pad_right
from penchant.inference.sites import Site
from penchant.lens.activations import pooled_activations
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import opening_ids, text_ids
from penchant.text.unicode import replace_surrogates

ROWS = 16
LONGEST = 400  # most characters of a sentence shown to the model
FITTED = Path(__file__).parent / "probe.json"
DEPTHS = (0.38, 0.52)
"""Layers that a new fit reads, as shares of the depth: for SmolLM2's 30 layers, the 11th and the 15th, where held-out
turns were separated best (AUC 0.92 each, 0.94 together; 0.87 at the 8th, 0.84 at the 24th).
"""


@dataclass(frozen=True)
class Fitted:
    """A fitted probe. weights: float [sites x width], sites in order. A sentence is an instruction if its probability
    is at least `threshold`; one found by patterns is rejected below `floor`.
    """

    sites: tuple[Site, ...]
    weights: NDArray[np.float64]
    bias: float
    threshold: float
    floor: float

    def probability(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return probabilities, float [sentences], of hidden states, float [sentences, sites x width]."""
        return np.asarray(1 / (1 + np.exp(-(features @ self.weights + self.bias))), dtype=np.float64)


def fitted_for(fingerprint: str) -> Fitted | None:
    """Return the probe fitted on a model; None if there is none. Raises `ModelError` for a file that can't be read."""
    try:
        entry: Mapping[str, Any] | None = json.loads(FITTED.read_text(encoding="utf-8"))["models"].get(fingerprint)
        if entry is None:
            return None
        sites = tuple(Site.parse(name) for name in entry["sites"])
        weights = np.array(entry["weights"], np.float64)
        return Fitted(sites, weights, float(entry["bias"]), float(entry["threshold"]), float(entry["floor"]))
    except (OSError, ValueError, KeyError, TypeError, InputError) as error:
        raise ModelError(f"{FITTED.name} isn't a fit of the probe ({error}); install Penchant again") from error


class Probe:
    """Classifies sentences with one model. Raises `ModelError` for weights of a model with another width."""

    def __init__(self, loaded: LoadedModel, fitted: Fitted, rows: int = ROWS) -> None:
        width = loaded.model.config.get_text_config().hidden_size
        if fitted.weights.shape != (width * len(fitted.sites),):
            raise ModelError(
                f"the probe has {fitted.weights.size} weights for {len(fitted.sites)} sites of {loaded.name} with "
                f"{width} numbers each: fit it on this model"
            )
        self.loaded, self.fitted, self.rows = loaded, fitted, rows

    def __call__(self, sentences: Sequence[str]) -> list[bool]:
        """Say for each sentence whether it is a standing instruction."""
        return [bool(p >= self.fitted.threshold) for p in self.probabilities(sentences)]

    def possible(self, sentences: Sequence[str]) -> list[bool]:
        """Say for each sentence whether it may be one: rules and habits in a pasted text are worded like instructions,
        but get a low probability.
        """
        return [bool(p >= self.fitted.floor) for p in self.probabilities(sentences)]

    def probabilities(self, sentences: Sequence[str]) -> NDArray[np.float64]:
        """Return probabilities, float [sentences]."""
        if not sentences:
            return np.zeros(0)
        return self.fitted.probability(np.concatenate(list(read(self.loaded, sentences, self.fitted.sites, self.rows))))


def sites_of(loaded: LoadedModel) -> tuple[Site, ...]:
    """Return the sites at which a new fit reads a model."""
    return tuple(Site(round(depth * (loaded.num_layers - 1)), "block") for depth in DEPTHS)


def read(
    loaded: LoadedModel, sentences: Sequence[str], sites: Sequence[Site], rows: int = ROWS
) -> Iterator[NDArray[np.float64]]:
    """Yield mean hidden states of sentences, in batches of `rows`: float [batch, sites x width]. Costs only their own
    tokens, up to the last site.
    """
    prefix = opening_ids(loaded, prefix_of(loaded))
    for start in range(0, len(sentences), rows):
        shown = [replace_surrogates(one)[:LONGEST].strip() or "." for one in sentences[start : start + rows]]
        ids = [text_ids(loaded, one) for one in shown]
        padded = pad_right([prefix + one for one in ids])
        weights = torch.zeros(padded.ids.shape)
        for row, one in enumerate(ids):
            weights[row, len(prefix) : len(prefix) + len(one)] = 1 / len(one)
        pooled = pooled_activations(loaded, padded.ids, weights, sites, seen=padded.there)
        yield torch.cat([pooled[site] for site in sites], dim=1).cpu().double().numpy()
