"""The n-gram classifier for languages without a cue file: `python -m penchant_lab.instructions.ngrams` measures it.

With --fit it is fitted, on the sentences of the tuning turns, of the probe's sentences, and of the half of the requests
that was looked at, in five languages. Its threshold is the lowest at which, with each language judged by a fit on the
other four, at most `ALARMS` of the turns without an instruction get one. It is measured on languages that it wasn't
fitted on: Dutch, and foreign.jsonl (Portuguese, Swedish, Polish), written before anything was measured on them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penchant.cli.output import run_and_exit
from penchant.conversation.instructions import ngrams
from penchant.conversation.instructions.patterns import patterns
from penchant.conversation.instructions.registry import make_detector
from penchant.conversation.instructions.sentences import sentences
from penchant.extras import require
from penchant.marking.resources import Resources
from penchant_lab.bench.provenance import provenance
from penchant_lab.bench.results import make_folder
from penchant_lab.instructions.labels import HERE, PROBED, REQUESTS, SIXTH, Row, rows, spans
from penchant_lab.instructions.measuring import measure
from penchant_lab.model_options import add_model_options, parsed

UNSEEN = ("last", "others", "sixth")
ALARMS = 0.07
"""As many as cues and probe give on the requests that weren't looked at (8 of 120)."""
KEPT = 6000
"""N-grams that are kept: those with the largest weights."""
STRENGTH = 10.0
KEYS = ("precision", "recall")


def training() -> tuple[list[str], np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return sentences, whether each is part of an instruction, its turn, and its language."""
    turns = [row for path in (HERE / "labelled.jsonl", PROBED) for row in rows(path) if row["written"] not in UNSEEN]
    turns += rows(REQUESTS)[0::2]
    found = [(one, at) for at, row in enumerate(turns) for one in sentences(row["text"])]
    true = [any(a < one.end and one.start < b for a, b in spans(turns[at])) for one, at in found]
    of = np.array([at for _, at in found])
    return [one.plain for one, _ in found], np.array(true), of, np.array([turns[at]["language"] for at in of])


def fit(texts: Sequence[str], true: np.ndarray[Any, Any]) -> tuple[dict[str, float], float]:
    """Return weights by n-gram, of those in at least two sentences, and the bias. Needs scikit-learn."""
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression

    made = [ngrams.features(text) for text in texts]
    vectors = DictVectorizer()
    x = vectors.fit_transform(made)
    often = np.flatnonzero(np.asarray((x > 0).sum(axis=0)).ravel() > 1)
    model = LogisticRegression(C=STRENGTH, max_iter=3000).fit(x[:, often], true)
    names = vectors.get_feature_names_out()[often]
    largest = np.argsort(-np.abs(model.coef_[0]))[:KEPT]
    return {str(names[at]): round(float(model.coef_[0][at]), 3) for at in largest}, round(float(model.intercept_[0]), 3)


def threshold() -> tuple[float, dict[str, Any]]:
    """Return the threshold, and how it was found."""
    texts, true, turn, language = training()
    probability = np.zeros(len(texts))
    for code in np.unique(language):
        held = language == code
        weights, bias = fit([text for text, out in zip(texts, held, strict=True) if not out], true[~held])
        judge = ngrams.Classifier(weights, bias, 0.5)
        probability[held] = [judge.probability(text) for text, out in zip(texts, held, strict=True) if out]
    best = np.array([probability[turn == at].max() for at in np.unique(turn)])
    given = np.array([bool(true[turn == at].any()) for at in np.unique(turn)])
    chosen = float(np.ceil(np.quantile(best[~given], 1 - ALARMS) * 100) / 100)
    return chosen, {
        "turns": len(best),
        "found of instructions": round(float((best[given] >= chosen).mean()), 3),
        "found of others": round(float((best[~given] >= chosen).mean()), 3),
    }


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m penchant_lab.instructions.ngrams", description=__doc__)
    options.add_argument("--fit", action="store_true", help="fit the weights and write them into the package")
    add_model_options(options, None, "also measure patterns, n-grams and the probe of this model")
    options.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    chosen = parsed(options)
    if chosen.fit:
        require("sklearn", extra="bench", why="--fit")
        least, how = threshold()
        texts, true, _, _ = training()
        weights, bias = fit(texts, true)
        made = {"of": "labelled.jsonl but for its last turns, probed.jsonl, half of requests.jsonl", **how}
        fitted = {"format": 1, "threshold": least, "bias": bias, "made": made, "weights": weights}
        ngrams.FITTED.write_text(json.dumps(fitted, ensure_ascii=False) + "\n", encoding="utf-8")
        ngrams.classifier.cache_clear()
    make_folder(chosen.out)
    data: dict[str, list[Row]] = {"nl": rows(SIXTH)}
    for row in rows(HERE / "foreign.jsonl"):
        data.setdefault(row["language"], []).append(row)
    command = "python -m penchant_lab.instructions.ngrams" + (f" --model {chosen.model}" if chosen.model else "")
    document: Row = {"benchmark": "instructions ngrams", "command": command, **provenance(), "languages": {}}
    detectors = {"patterns and n-grams": patterns()}
    if chosen.model:
        detectors["with the probe"] = make_detector("penchant", Resources(chosen.model))
    lines = ["| detector | language | turns | precision | recall |", "|---|---|--:|--:|--:|"]
    for name, detect in detectors.items():
        document["languages"][name] = {}
        for code, some in data.items():
            document["languages"][name][code] = found = measure(detect, some)
            shown = ("-" if point is None else f"{point:.2f}" for point in (found[f"turn {key}"][0] for key in KEYS))
            lines.append(f"| {name} | {code} | {len(some)} | {' | '.join(shown)} |")
    (chosen.out / "instructions_ngrams.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (chosen.out / "instructions_ngrams.md").write_text("\n".join([*lines, ""]), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    run_and_exit(main)
