"""Weights of the default marker, learned from labelled evidence and written into the calibration."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from penchant.errors import ModelError
from penchant.index.discovery import whole_records
from penchant.index.encode import Encoder
from penchant.index.pool import IndexPool
from penchant.index.score import standardise
from penchant.lens.calibration import Calibration
from penchant.lens.conditional_logit import Example, auc_left_out, fit_weights
from penchant.lens.labelled import LabelledHistory
from penchant.lens.lens import Lens
from penchant.marking.attention import attention
from penchant.marking.bm25 import bm25
from penchant.marking.dense import dense
from penchant.marking.marks import Marker
from penchant.progress import Progress, no_progress

Combination = tuple[str, ...]
COMBINATIONS: tuple[Combination, ...] = (("attention", "bm25"), ("attention", "bm25", "dense"))


def fit_fusion(
    lens: Lens,
    calibration: Calibration,
    labelled: Sequence[LabelledHistory],
    progress: Progress = no_progress,
) -> Calibration:
    """Return the calibration with fusion weights for attention + BM25, and with the dense encoder if it is installed.

    Each combination is fitted like the heads (`fit_weights`), including neighbour shares; the AUC on held-out histories
    is reported in `scores` (None for a single history).
    """
    markers: dict[str, Marker] = {
        "attention": attention(IndexPool(Encoder(lens, calibration)), neighbours=False),
        "bm25": bm25(),
    }
    with suppress(ModelError):  # not installed: combinations with it aren't fitted
        markers["dense"] = dense()
    total = sum(len(one.questions) for one in labelled)
    groups: list[list[Example]] = []
    for one in labelled:
        segments = whole_records(one)
        position = {record.id: i for i, record in enumerate(one.history)}
        groups.append([])
        for question in one.questions:
            scores = [marker(one.history, question.request, segments).scores for marker in markers.values()]
            evidence = tuple(position[record] for record in question.evidence)
            groups[-1].append(Example(standardise(np.stack(scores)), evidence))
            progress("weighing markers", sum(len(group) for group in groups), total)
    fusion, scores_left_out = {}, {}
    for names in COMBINATIONS:
        if not set(names) <= set(markers):
            continue
        rows = [list(markers).index(name) for name in names]
        chosen = [[replace(e, features=e.features[rows]) for e in group] for group in groups]
        fitted = fit_weights([example for group in chosen for example in group])
        weights = {name: round(weight, 4) for name, weight in zip(names, fitted.weights, strict=True)}
        shares = {"previous": round(fitted.previous, 4), "following": round(fitted.following, 4)}
        fusion["+".join(names)] = {**weights, **shares}
        scores_left_out["+".join(names)] = auc_left_out(chosen)
    return replace(calibration, fusion=fusion, scores={**calibration.scores, "auc_fusion_left_out": scores_left_out})
