"""How well standing instructions are detected: `python -m benchmarks.instructions` from the root of the repository.

On the labelled set of the package (turns and sequences), on turns by somebody who hadn't seen patterns or set
(`instructions_fresh.jsonl`), on MT-Eval's turns (`--data`), and by seconds a turn. `--fit` fits the probe's weights on
all of the labelled set but "last", and the judge's on its tuning half, and writes them into the package.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from benchmarks.standing_wordings import WORDINGS
from penchant.evaluation.provenance import provenance
from penchant.history.dialogue import Instruction, Turn
from penchant.marking.registry import Toolbox
from penchant.memory.context import Detector, Found
from penchant.memory.detection import judge as judging
from penchant.memory.detection import probe as probing
from penchant.memory.detection.patterns import detector, instruction, patterns
from penchant.memory.detection.registry import make_detector
from penchant.memory.detection.rhea import rhea
from penchant.memory.detection.sentences import Sentence, sentences
from penchant.memory.detection.standing import verdict
from penchant.memory.ledger import replay
from penchant.models.loading import LoadedModel

PACKAGE = Path(judging.__file__).parent
LANGUAGES = ("en", "de", "fr", "es", "it")
#: Of the labelled set: tuned on; written before the patterns by the same hand; written after them, of which the other
#: half was tuned on; written last, and by somebody else, never tuned on. The probe is fitted on the first three.
PARTS = (("tune", None), ("test", "before"), ("test", "after"), ("test", "last"), ("test", "others"))
FRESH = Path(__file__).parent / "instructions_fresh.jsonl"
UNSEEN = ("last", "others")
PROBE_THRESHOLD = 0.8
"""Sentences that the patterns pass over are many, so the probe has to be sure. Chosen beforehand, not fitted."""
OVERLAP = 0.5
ROUNDS = 2000
Row = dict[str, Any]
Judged = dict[str, float]


def rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def of(part: str, written: str | None, data: Iterable[Row]) -> list[Row]:
    return [row for row in data if row["part"] == part and written in (None, row["written"])]


def spans(row: Row) -> list[tuple[int, int]]:
    starts = [row["text"].index(one["text"]) for one in row["standing"]]
    return [(start, start + len(one["text"])) for start, one in zip(starts, row["standing"], strict=True)]


def meets(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether two spans share at least half of the characters that either has."""
    shared = min(a[1], b[1]) - max(a[0], b[0])
    return shared > OVERLAP * (max(a[1], b[1]) - min(a[0], b[0]))


def counts(row: Row, given: Sequence[Instruction]) -> list[int]:
    """Of one turn: right, wrong and missed as a turn, then of its spans, and how many spans are exact."""
    true, found = spans(row), [(at := row["text"].index(one.text), at + len(one.text)) for one in given]
    right = sum(any(meets(a, b) for a in true) for b in found)
    hit = sum(any(meets(a, b) for b in found) for a in true)
    turn = [int(bool(true) and bool(found)), int(not true and bool(found)), int(bool(true) and not found)]
    return [*turn, right, len(found) - right, len(true) - hit, sum(span in true for span in found)]


def scores(table: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """[..., right wrong missed] -> [..., precision recall F1]; NaN where undefined."""
    right, wrong, missed = (table[..., k].astype(float) for k in range(3))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack(
            [right / (right + wrong), right / (right + missed), 2 * right / (2 * right + wrong + missed)], -1
        )


def summary(table: np.ndarray[Any, Any]) -> Row:
    """Precision, recall and F1 of turns and of spans with 95 % intervals: turns are drawn anew with replacement."""
    rng = np.random.default_rng(0)
    drawn = np.stack([table[rng.integers(0, len(table), len(table))].sum(0) for _ in range(ROUNDS)])
    found: Row = {"turns": len(table)}
    for name, at in (("turn", 0), ("span", 3)):
        point, samples = scores(table[:, at : at + 3].sum(0)), scores(drawn[:, at : at + 3])
        for k, figure in enumerate(("precision", "recall", "f1")):
            usable = samples[:, k][np.isfinite(samples[:, k])]
            low, high = np.percentile(usable, [2.5, 97.5]) if len(usable) else (np.nan, np.nan)
            found[f"{name} {figure}"] = [None if np.isnan(x) else round(float(x), 3) for x in (point[k], low, high)]
    found["exact spans"] = int(table[:, 6].sum())
    return found


def measure(detect: Detector, data: Sequence[Row]) -> Row:
    """Figures of a detector on labelled turns, all and by language; scope, end and slot of the spans that it found."""
    began, given = time.perf_counter(), [detect(row["text"], ()).given for row in data]
    seconds = (time.perf_counter() - began) / len(data)
    table = np.array([counts(row, found) for row, found in zip(data, given, strict=True)])
    agreed = {"found": 0, "scope": 0, "until": 0, "slot": 0}
    for row, found in zip(data, given, strict=True):
        for one in found:
            at = row["text"].index(one.text)
            for place, true in enumerate(row["standing"]):
                if meets(spans(row)[place], (at, at + len(one.text))):
                    if "scope" not in true:
                        continue
                    agreed["found"] += 1
                    for name in ("scope", "until", "slot"):
                        agreed[name] += getattr(one, name) == true[name]
    by = {
        language: summary(table[[row["language"] == language for row in data]])
        for language in LANGUAGES
        if any(row["language"] == language for row in data)
    }
    return {**summary(table), "agreed": agreed, "seconds a turn": round(seconds, 4), "by language": by}


def superseded(detect: Detector, data: Sequence[Row]) -> list[int]:
    """How many sequences end with the ledger that they should, of how many."""
    right = 0
    for row in data:
        turns: list[Turn] = []
        for text in row["turns"]:
            turns += [Turn(len(turns), "user", text), Turn(len(turns) + 1, "assistant", "Fine.")]
        ledger = replay(turns, detect, "c")
        places = {one.id: place for place, one in enumerate(ledger)}
        got = [[one.text, "stands" if one.stands else places.get(str(one.ended_by), one.ended_by)] for one in ledger]
        right += got == [[one["text"], one["outcome"]] for one in row["ledger"]]
    return [right, len(data)]


def features(
    judge: judging.Judge, data: Sequence[Row]
) -> tuple[list[Sentence], np.ndarray[Any, Any], list[bool], list[int]]:
    """Sentences of the turns, what the judge reads of each, whether it is an instruction, and the turn it is of."""
    found = [(one, place) for place, row in enumerate(data) for one in sentences(row["text"])]
    true = [any(a < one.end and one.start < b for a, b in spans(data[place])) for one, place in found]
    return (
        [one for one, _ in found],
        judge.features([one.text for one, _ in found]),
        true,
        [place for _, place in found],
    )


def auc(values: np.ndarray[Any, Any], true: np.ndarray[Any, Any]) -> float:
    """How often a true one is above a false one."""
    above = values[true][:, None] - values[~true][None]
    return float((above > 0).mean() + (above == 0).mean() / 2)


def best_threshold(probability: np.ndarray[Any, Any], f1: Callable[[float], float]) -> float:
    """The threshold of the best F1; of equal ones the highest; 1.01 asks nothing of the judge."""
    choices = [1.01, *sorted(set(np.round(np.percentile(probability, np.arange(2, 100, 2)), 4).tolist()), reverse=True)]
    return max(choices, key=lambda threshold: (f1(threshold), threshold))


def fit(judge: judging.Judge, data: Sequence[Row]) -> Row:
    """Weights on the tuning half, and two thresholds: for the judge alone, and for doubtful sentences only."""
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
    verdicts = [verdict(one).sure for one in found]
    standing = np.array([bool(row["standing"]) for row in data])

    def f1(flags: np.ndarray[Any, Any]) -> float:
        said = np.zeros(len(data), dtype=bool)
        np.logical_or.at(said, turns, flags)
        right = int((said & standing).sum())
        return 2 * right / max(int(said.sum()) + int(standing.sum()), 1)

    sure = np.array([one == "yes" for one in verdicts])
    doubt = np.array([one == "doubt" for one in verdicts])
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


def fit_probe(loaded: LoadedModel, data: Sequence[Row]) -> Row:
    """Weights on what isn't kept apart, by sentence."""
    some = [row for row in data if row["written"] not in UNSEEN]
    found = [(one, row) for row in some for one in sentences(row["text"])]
    true = np.array([any(a < one.end and one.start < b for a, b in spans(row)) for one, row in found])
    sites = probing.sites_of(loaded)
    read = np.concatenate(list(probing.read(loaded, [one.text for one, _ in found], sites)))
    mean, scale = read.mean(0), read.std(0)
    model = LogisticRegression(C=0.03, max_iter=3000).fit((read - mean) / scale, true)
    weights = model.coef_[0] / scale
    return {
        "sites": list(map(str, sites)),
        "weights": [float(f"{weight:.4g}") for weight in weights],
        "bias": round(float(model.intercept_[0] - weights @ mean), 4),
        "threshold": PROBE_THRESHOLD,
        "made": {
            "of": "labelled.jsonl but for its last turns",
            "sentences": len(true),
            "instructions": int(true.sum()),
        },
    }


def alone(probabilities: Callable[[Sequence[str]], Any], threshold: float) -> Detector:
    """Every sentence put to the model."""

    def detect(text: str, known: Sequence[Instruction]) -> Found:
        pieces = sentences(text)
        yes = probabilities([one.text for one in pieces]) >= threshold if pieces else ()
        return Found(
            tuple(instruction(text, (one.start, one.end), None) for one, so in zip(pieces, yes, strict=True) if so)
        )

    return detect


def mt_eval(detect: Detector, folder: Path) -> Row:
    """False alarms on MT-Eval's own turns, and finds among wordings of its kinds of global instruction."""
    found: Row = {}
    for name, key in (
        ("mt-bench_extended", "conversation"),
        ("refinement_multi_inst", None),
        ("refinement_single_inst", None),
    ):
        lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        turns = [turn["user"] for line in lines for turn in (json.loads(line)[key] if key else json.loads(line))]
        began = time.perf_counter()
        hits = sorted(text for text in turns if detect(text, ()).given)
        found[name] = {
            "turns": len(turns),
            "found": len(hits),
            "seconds a turn": round((time.perf_counter() - began) / len(turns), 4),
        }
    kinds = [json.loads(line) for line in (folder / "global_inst.jsonl").read_text(encoding="utf-8").splitlines()]
    named = sorted({kind for row in kinds for kind in row["instructions"]})
    hits, once, whole = 0, 0, 0
    for kind in named:
        for standing, single in WORDINGS[kind]:
            given = detect(f"{standing} {kinds[whole % len(kinds)]['query']}", ()).given
            hits += any(one.text == standing for one in given)
            once += bool(detect(f"{kinds[whole % len(kinds)]['query']} {single}", ()).given)
            whole += 1
    found["global_inst, standing"] = {"turns": whole, "found": hits}
    found["global_inst, once"] = {"turns": whole, "found": once}
    return found


def sampled(data: Sequence[Row], most: int) -> list[Row]:
    """At most so many turns, alike in language and label."""
    if len(data) <= most:
        return list(data)
    order = np.random.default_rng(0).permutation(len(data))
    groups: dict[Any, list[Row]] = {}
    for place in order:
        groups.setdefault((data[place]["language"], bool(data[place]["standing"])), []).append(data[place])
    return [row for group in groups.values() for row in group[: max(1, most // len(groups))]]


def line(name: str, part: str, result: Row) -> str:
    def shown(key: str) -> str:
        point, low, high = result[key]
        return "-" if point is None else f"{point:.2f} [{low:.2f}, {high:.2f}]"

    keys = ("turn precision", "turn recall", "turn f1", "span f1")
    return (
        f"| {name} | {part} | {result['turns']} | "
        + " | ".join(map(shown, keys))
        + f" | {result['seconds a turn']:.3f} |"
    )


def write(folder: Path, document: Row, lines: Sequence[str]) -> None:
    """What is measured so far."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    (folder / "instructions.json").write_text(text, encoding="utf-8")
    (folder / "instructions.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:  # noqa: PLR0915 (one step after another)
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, help="folder of MT-Eval in its own layout")
    options.add_argument("--model", default="smollm2")
    options.add_argument("--fit", action="store_true")
    options.add_argument("--most", type=int, default=60, help="turns of a part that are put to the model (0: none)")
    options.add_argument("--detectors", help="only these, beside what --out has of the others; default: all")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    data, sequences = [*rows(PACKAGE / "labelled.jsonl"), *rows(FRESH)], rows(PACKAGE / "sequences.jsonl")
    command = "python -m benchmarks.instructions " + " ".join(
        Path(one).name if "/" in one else one for one in sys.argv[1:]
    )
    document: Row = {"benchmark": "instructions", "command": command, **provenance(), "detectors": {}}
    toolbox = Toolbox(chosen.model)
    if chosen.fit:
        judge = judging.Judge(toolbox.lens)
        whole = json.loads(judging.FITTED.read_text(encoding="utf-8"))
        whole["models"][toolbox.loaded.fingerprint] = fit(judge, of("tune", None, data))
        judging.FITTED.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
        whole = json.loads(probing.FITTED.read_text(encoding="utf-8"))
        whole["models"][toolbox.loaded.fingerprint] = fit_probe(toolbox.loaded, data)
        probing.FITTED.write_text(json.dumps(whole) + "\n", encoding="utf-8")
    detectors: dict[str, tuple[Callable[[], Detector], bool]] = {"patterns": (patterns, False)}
    if fitted := probing.fitted_for(toolbox.loaded.fingerprint):
        probe = probing.Probe(toolbox.loaded, fitted)
        detectors["patterns, then probe"] = (lambda: make_detector("penchant", toolbox), False)
        detectors["probe alone"] = (lambda: alone(probe.probabilities, 0.5), False)
    if chosen.most:
        entry = json.loads(judging.FITTED.read_text(encoding="utf-8"))["models"].get(toolbox.loaded.fingerprint)
        document["judge"] = entry
        judge = judging.Judge(toolbox.lens)
        detectors["patterns, then judge"] = (lambda: detector(judge), False)
        detectors["judge alone"] = (lambda: alone(judge.probabilities, entry["alone"] if entry else 0.5), True)
        detectors["rhea"] = (lambda: rhea(toolbox.loaded), True)
    detectors["rhea, its patterns"] = (lambda: rhea(None), False)
    if chosen.detectors:
        detectors = {name: detectors[name] for name in chosen.detectors.split(";")}
        earlier = json.loads((chosen.out / "instructions.json").read_text(encoding="utf-8"))
        document = {**earlier, "then": {key: document[key] for key in ("command", "git", "machine")}}
    lines = [
        "| detector | turns of | n | precision | recall | F1 | F1 of spans | s a turn |",
        "|---|---|---|---|---|---|---|---|",
    ]
    if chosen.data:
        of_mt_eval = {name: make for name, (make, slow) in detectors.items() if not slow}
        document["mt-eval"] = {name: mt_eval(make(), chosen.data) for name, make in of_mt_eval.items()}
        print(json.dumps(document["mt-eval"]), flush=True)
    for name, (make, slow) in detectors.items():
        detect, results = make(), {}
        for part, written in PARTS:
            some = of(part, written, data)
            results[label := part if written is None else f"{part}, {written}"] = measure(
                detect, sampled(some, chosen.most) if slow else some
            )
            print(line(name, label, results[label]), flush=True)
        document["detectors"][name] = results
        if not slow:
            document.setdefault("sequences", {})[name] = {
                part: superseded(detect, [row for row in sequences if row["part"] == part]) for part in ("tune", "test")
            }
        measured = document["detectors"].items()
        shown = [line(name, part, result) for name, parts in measured for part, result in parts.items()]
        write(chosen.out, document, [*lines, *shown])


if __name__ == "__main__":
    main()
