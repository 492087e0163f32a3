"""The ablation: measures every setting of a grid on the tuning half of LoCoMo, with heads chosen on other
conversations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penchant.errors import InputError
from penchant.index.discovery import prefix_of
from penchant.index.score import FloatArray
from penchant.lens.conditional_logit import Example
from penchant.lens.lens import Lens
from penchant.models.loading import LoadedModel, load_model
from penchant.progress import Progress, no_progress
from penchant_lab.ablation.axes import (
    AXES,
    DEFAULT,
    AblationConfig,
    Grid,
    by_encoding,
    changes,
    is_costly,
    readout_of,
    settings,
)
from penchant_lab.ablation.choosing import Choice, aucs, choose
from penchant_lab.ablation.features import Features, alone, joint, make_source, scores_of
from penchant_lab.bench.provenance import machine, own_revision, versions
from penchant_lab.measures.metrics import auc, bootstrap, paired_bootstrap, recall_at_budget
from penchant_lab.measures.protocol import Trial, evidence_positions, make_trial, spread
from penchant_lab.tasks.locomo import TUNING, load

SHARE = 0.02
SENTENCE = "Here is a conversation between two friends.\n"
METRICS = ("recall_at_budget", "auc")


@dataclass(frozen=True)
class AblationOptions:
    """data: a LoCoMo file or its folder. limit: questions a conversation. costly: the same for requests read behind
    each record, which feeds the whole request once a record. progress: called with what is done next and the steps done
    before it. save: what is measured so far, after every encoding of the histories. command: as it is published."""

    data: Path
    limit: int | None = 40
    costly: int | None = 12
    model: str = "smollm2"
    grid: Grid = "one-at-a-time"
    axes: Sequence[str] = tuple(AXES)
    command: str = "penchant bench ablate"
    progress: Progress = no_progress
    save: Callable[[dict[str, Any]], object] = lambda document: None


@dataclass(frozen=True)
class Measured:
    """asked: (conversation, question) of every value. heads: of each conversation left out, those chosen without it."""

    asked: tuple[tuple[int, int], ...]
    values: dict[str, list[float]]
    heads: tuple[tuple[tuple[int, int], ...], ...]
    fed: float


def run_ablation(options: AblationOptions) -> dict[str, Any]:
    """Measure the grid and return the document.

    Heads, weights and neighbour shares of a setting are chosen on all conversations except one and scored on that one,
    in turn. Raises `InputError` or `ModelError` for unusable options before the first pass.
    """
    found = settings(options.grid, options.axes)
    labelled = load(options.data)[:TUNING]
    if len(labelled) < 2:
        raise InputError(f"{options.data} has {len(labelled)} conversations: expected at least 2, to leave one out")
    loaded = load_model(options.model)

    def count(texts: Sequence[str]) -> list[int]:
        ids = loaded.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return [len(tokens) for tokens in ids]

    trials = [make_trial(one, count, SHARE, options.limit) for one in labelled]
    document = _document(options, loaded, trials)
    lens = Lens(loaded)
    groups = by_encoding(found)
    total = sum(
        len(_asked(trial, encoding, request, options))
        for (_, encoding), requests in groups
        for request in requests
        for trial in trials
    )
    done = 0
    measured: dict[AblationConfig, Measured] = {}

    def step(what: str) -> None:
        nonlocal done
        done += 1
        options.progress(what, done, total)

    for (priming, encoding), requests in groups:
        features: dict[str, list[Features]] = {request: [] for request in requests}
        for trial in trials:
            texts = {r: [trial.labelled.questions[q].request.query for q in _asked(trial, encoding, r, options)]
                     for r in requests}  # fmt: skip
            everything = [query for queries in texts.values() for query in queries]
            options.progress(f"{priming}, {encoding}, encoding {trial.labelled.history.user}", done, total)
            source = make_source(lens, trial.labelled.history, everything, _prefix(loaded, priming), encoding)
            for request, queries in texts.items():
                what = f"{priming}, {encoding}, request {request}, {trial.labelled.history.user}"
                readouts = list(dict.fromkeys(readout_of(setting) for setting in requests[request]))
                # `progress` is called within the read, before the loop goes on: what B023 fears can't happen.
                if request == "alone":
                    read = alone(source, queries, readouts, shifted=encoding != "record", progress=lambda: step(what))  # noqa: B023
                else:
                    read = joint(source, queries, readouts, progress=lambda: step(what))  # noqa: B023
                features[request].append(read)
        for request, some in requests.items():
            asked = [_asked(trial, encoding, request, options) for trial in trials]
            for setting in some:
                options.progress(str(setting), done, total)
                measured[setting] = _measure(setting, trials, asked, features[request], loaded.num_heads)
                if setting == DEFAULT:
                    document["heads"] = _maps(setting, trials, asked, features[request], loaded)
        document["variants"] = _variants([one for one in found if one in measured], measured)
        options.save(document)
    return document


def _measure(
    setting: AblationConfig,
    trials: Sequence[Trial],
    asked: Sequence[Sequence[int]],
    features: Sequence[Features],
    heads: int,
) -> Measured:
    groups = [
        _examples(setting, trial, positions, one) for trial, positions, one in zip(trials, asked, features, strict=True)
    ]
    values: dict[str, list[float]] = {metric: [] for metric in METRICS}
    chosen: list[Choice] = []
    for left_out, (trial, group) in enumerate(zip(trials, groups, strict=True)):
        others = [example for i, some in enumerate(groups) if i != left_out for example in some]
        chosen.append(choose(setting, others, heads))
        for example in group:
            scores = chosen[-1](example.features)
            recall = recall_at_budget(scores, trial.costs, trial.budget, example.evidence)
            values["recall_at_budget"].append(recall)
            values["auc"].append(auc(scores, example.evidence))
    positions = tuple((i, position) for i, some in enumerate(asked) for position in some)
    fed = float(np.mean([one.fed for one in features]))
    return Measured(positions, values, tuple(one.heads for one in chosen), fed)


def _examples(setting: AblationConfig, trial: Trial, asked: Sequence[int], features: Features) -> list[Example]:
    readout = readout_of(setting)
    salience, baseline = features.salience[readout], float(setting.baseline)
    return [
        Example(scores_of(relevance, salience, baseline), tuple(_evidence(trial, position)))
        for position, relevance in zip(asked, features.relevance[readout], strict=True)
    ]


def _maps(
    setting: AblationConfig,
    trials: Sequence[Trial],
    asked: Sequence[Sequence[int]],
    features: Sequence[Features],
    loaded: LoadedModel,
) -> dict[str, Any]:
    """Return scores of every head alone, without neighbours. Nothing is chosen, so all conversations count."""
    found: dict[str, list[FloatArray]] = {metric: [] for metric in METRICS}
    for trial, positions, one in zip(trials, asked, features, strict=True):
        for example in _examples(setting, trial, positions, one):
            found["auc"].append(aucs(example.features, example.evidence))
            recalls = [recall_at_budget(row, trial.costs, trial.budget, example.evidence) for row in example.features]
            found["recall_at_budget"].append(np.array(recalls, dtype=np.float32))
    shape = (loaded.num_layers, loaded.num_heads)
    return {metric: np.mean(rows, axis=0).reshape(shape).round(4).tolist() for metric, rows in found.items()}


def _variants(found: Sequence[AblationConfig], measured: dict[AblationConfig, Measured]) -> list[dict[str, Any]]:
    default = measured[DEFAULT]
    position = {asked: i for i, asked in enumerate(default.asked)}
    out = []
    for setting in found:
        one = measured[setting]
        beside = [position[asked] for asked in one.asked]
        entry: dict[str, Any] = {"name": str(setting), "changes": changes(setting), "questions": len(one.asked)}
        entry["tokens_fed"] = round(one.fed, 1)
        for metric in METRICS:
            entry[metric] = _rounded(bootstrap(one.values[metric])._asdict())
        entry["difference"] = {
            metric: _rounded(
                paired_bootstrap(one.values[metric], [default.values[metric][i] for i in beside])._asdict()
            )
            for metric in METRICS
        }
        entry["heads"] = (
            [[f"{layer}.{head}" for layer, head in heads] for heads in one.heads] if setting.heads != "all" else None
        )
        entry["values"] = {metric: [round(value, 4) for value in one.values[metric]] for metric in METRICS}
        out.append(entry)
    return out


def _document(options: AblationOptions, loaded: LoadedModel, trials: Sequence[Trial]) -> dict[str, Any]:
    return {
        "benchmark": "ablation",
        "command": options.command,
        "git": own_revision(),
        "versions": versions(),
        "machine": machine(),
        "model": loaded.name,
        "fingerprint": loaded.fingerprint,
        "dtype": str(loaded.dtype).removeprefix("torch."),
        "data": options.data.name,
        "share": SHARE,
        "limit": options.limit,
        "costly_limit": options.costly,
        "grid": options.grid,
        "histories": [
            {
                "name": trial.labelled.history.user,
                "records": len(trial.segments),
                "tokens": trial.tokens,
                "questions": len(trial.asked),
            }
            for trial in trials
        ],
        "variants": [],
        "heads": None,
    }


def _asked(trial: Trial, encoding: str, request: str, options: AblationOptions) -> tuple[int, ...]:
    return spread(trial.asked, options.costly) if is_costly(encoding, request) else trial.asked


def _evidence(trial: Trial, position: int) -> list[int]:
    return evidence_positions(trial.labelled.questions[position], trial.segments)


def _prefix(loaded: LoadedModel, priming: str) -> str:
    return {"turn": prefix_of(loaded), "sentence": SENTENCE, "none": ""}[priming]


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}
