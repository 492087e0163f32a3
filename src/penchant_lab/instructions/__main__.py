"""How well standing instructions are detected: `python -m penchant_lab.instructions` from the root of the repository.

On the labelled set of the package (turns and sequences), on turns by somebody who hadn't seen patterns or set
(`fresh.jsonl`; `requests.jsonl`, without a single instruction), on MT-Eval's turns (`--data`), and by seconds a turn.
`--fit` fits the probe's weights on all of the labelled set but "last" and on `probed.jsonl`, and the judge's on its
tuning half, and writes them into the package.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from penchant.cli.output import run_and_exit
from penchant.conversation.context import Detector, Found
from penchant.conversation.instructions import probe as probing
from penchant.conversation.instructions.patterns import detector, instruction, patterns
from penchant.conversation.instructions.registry import make_detector
from penchant.conversation.instructions.rhea import rhea
from penchant.conversation.instructions.sentences import sentences
from penchant.extras import require
from penchant.history.dialogue import Instruction
from penchant.marking.resources import Resources
from penchant.models.loading import load_model
from penchant_lab.bench.provenance import provenance
from penchant_lab.bench.results import make_folder
from penchant_lab.detectors import judge as judging
from penchant_lab.instructions.fitting import fit, fit_probe
from penchant_lab.instructions.labels import FRESH, HERE, PROBED, REQUESTS, SIXTH, Row, of, rows
from penchant_lab.instructions.measuring import false_alarms, measure, mt_eval, superseded
from penchant_lab.model_options import add_model_options, parsed

#: Of the labelled set: tuned on; written before the patterns by the same hand; written after them, of which the other
#: half was tuned on; written last, by somebody else, and in a language without a table, never tuned on. The probe is
#: fitted on the first three.
PARTS = (("tune", None), ("test", "before"), ("test", "after"), ("test", "last"), ("test", "others"), ("test", "sixth"))
HEAD = "| detector | turns of | n | precision | recall | F1 | F1 of spans | s a turn |"


def alone(probabilities: Callable[[Sequence[str]], Any], threshold: float) -> Detector:
    """Every sentence put to the model."""

    def detect(text: str, known: Sequence[Instruction]) -> Found:
        pieces = sentences(text)
        yes = probabilities([one.text for one in pieces]) >= threshold if pieces else ()
        return Found(
            tuple(instruction(text, (one.start, one.end), None) for one, so in zip(pieces, yes, strict=True) if so)
        )

    return detect


def sampled(data: Sequence[Row], most: int) -> list[Row]:
    """At most so many turns, alike in language and label."""
    if len(data) <= most:
        return list(data)
    order = np.random.default_rng(0).permutation(len(data))
    groups: dict[Any, list[Row]] = {}
    for position in order:
        groups.setdefault((data[position]["language"], bool(data[position]["standing"])), []).append(data[position])
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


def write(folder: Path, document: Row) -> None:
    """Write the results so far."""
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    (folder / "instructions.json").write_text(text, encoding="utf-8")
    measured = document["detectors"].items()
    lines = [line(name, part, result) for name, parts in measured for part, result in parts.items()]
    (folder / "instructions.md").write_text(
        "\n".join([HEAD, "|---|---|---|---|---|---|---|---|", *lines, ""]), encoding="utf-8"
    )


Detectors = dict[str, tuple[Callable[[], Detector], bool]]
"""Name -> how it is made, and whether it is slow."""


def keep_fitted(resources: Resources, data: Sequence[Row], model: str) -> None:
    """Fit the judge and the probe for a model, and write both into the package."""
    key = resources.loaded.fingerprint
    judged = json.loads(judging.FITTED.read_text(encoding="utf-8"))
    judged["models"][key] = fit(judging.Judge(resources.lens), of("tune", None, data))
    judging.FITTED.write_text(json.dumps(judged, indent=1) + "\n", encoding="utf-8")
    probed = json.loads(probing.FITTED.read_text(encoding="utf-8"))
    both = [load_model(model, dtype=dtype) for dtype in ("float32", "bfloat16")]
    probed["models"][key] = fit_probe(both, [*data, *rows(PROBED)])
    probing.FITTED.write_text(json.dumps(probed) + "\n", encoding="utf-8")


def judge_entry(resources: Resources) -> Row | None:
    """What the package has of the judge for a model."""
    found: Row | None = json.loads(judging.FITTED.read_text(encoding="utf-8"))["models"].get(
        resources.loaded.fingerprint
    )
    return found


def all_detectors(resources: Resources, slow: bool) -> Detectors:
    """slow: with those that read every sentence or turn with the model."""
    found: Detectors = {"patterns": (patterns, False)}
    if fitted := probing.fitted_for(resources.loaded.fingerprint):
        probe = probing.Probe(resources.loaded, fitted)
        found["patterns, then probe"] = (lambda: make_detector("penchant", resources), False)
        found["probe alone"] = (lambda: alone(probe.probabilities, 0.5), False)
    if slow:
        judge, threshold = judging.Judge(resources.lens), (judge_entry(resources) or {"alone": 0.5})["alone"]
        found["patterns, then judge"] = (lambda: detector(judge), False)
        found["judge alone"] = (lambda: alone(judge.probabilities, threshold), True)
        found["rhea"] = (lambda: rhea(resources.loaded), True)
    found["rhea, its patterns"] = (lambda: rhea(None), False)
    return found


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m penchant_lab.instructions", description=__doc__)
    options.add_argument("--data", type=Path, help="folder of MT-Eval in its own layout")
    add_model_options(options)
    options.add_argument("--fit", action="store_true")
    options.add_argument("--most", type=int, default=60, help="turns per part that the model reads (0: none)")
    options.add_argument("--detectors", help="only these; results of others in --out are kept; default: all")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    chosen = parsed(options)
    make_folder(chosen.out)
    if chosen.fit:
        require("sklearn", extra="bench", why="--fit")
    torch.set_num_threads(chosen.threads)
    data, sequences = [*rows(HERE / "labelled.jsonl"), *rows(FRESH), *rows(SIXTH)], rows(HERE / "sequences.jsonl")
    given = (Path(one).name if "/" in one else one for one in sys.argv[1:])
    command = " ".join(["python -m penchant_lab.instructions", *given])
    document: Row = {"benchmark": "instructions", "command": command, **provenance(), "detectors": {}}
    resources = Resources(load_model(chosen.model))
    if chosen.fit:
        keep_fitted(resources, data, chosen.model)
    detectors = all_detectors(resources, chosen.most > 0)
    if chosen.most:
        document["judge"] = judge_entry(resources)
    if chosen.detectors:
        detectors = {name: detectors[name] for name in chosen.detectors.split(";")}
        earlier = json.loads((chosen.out / "instructions.json").read_text(encoding="utf-8"))
        document = {**earlier, "then": {key: document[key] for key in ("command", "git", "machine")}}
    if chosen.data:
        of_mt_eval = {name: make for name, (make, slow) in detectors.items() if not slow}
        document.setdefault("mt-eval", {}).update(
            (name, mt_eval(make(), chosen.data)) for name, make in of_mt_eval.items()
        )
        print(json.dumps(document["mt-eval"]), flush=True)
    requests = rows(REQUESTS)
    for name, (make, slow) in detectors.items():
        detect, results = make(), dict[str, Row]()
        for part, written in PARTS:
            some, label = of(part, written, data), part if written is None else f"{part}, {written}"
            results[label] = measure(detect, sampled(some, chosen.most) if slow else some)
            print(line(name, label, results[label]), flush=True)
        document["detectors"][name] = results
        if not slow:
            document.setdefault("requests", {})[name] = {
                half: false_alarms(detect, requests[start::2])
                for start, half in enumerate(("looked at", "not looked at"))
            }
            document.setdefault("sequences", {})[name] = {
                part: superseded(detect, [row for row in sequences if row["part"] == part]) for part in ("tune", "test")
            }
        write(chosen.out, document)


if __name__ == "__main__":
    run_and_exit(main)
