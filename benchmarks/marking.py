"""How well markers find the evidence of LoCoMo's questions, at what price.

    python benchmarks/marking.py --data PATH/locomo --conversations 3,4,5 --out benchmarks/results

Writes NAME.json (every question's figures, without any text of the data) and NAME.md (the tables) into the folder
given by --out, and prints the tables. Costs and budget are counted in the marking model's tokens; the unit is the
whole record. Every marker is made anew for each conversation and shares nothing but the model's weights with the
others, so "cold" is what a first request costs, indexing included.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from penchant.errors import InputError, PenchantError
from penchant.evaluation.protocol import Measurement, Trial, make_trial, measure, spread
from penchant.evaluation.provenance import provenance
from penchant.evaluation.report import by_history, differences, markdown, summarise
from penchant.evaluation.tasks.locomo import chosen, load
from penchant.index.table import Storage
from penchant.lens.calibration import Calibration, read_calibration
from penchant.marking.fusion import fusion
from penchant.marking.marks import Marker
from penchant.marking.random import random_marker
from penchant.marking.registry import MARKERS, Toolbox, make_marker
from penchant.models.loading import LoadedModel, load_model

#: The rivals' own best: weights and neighbour shares fitted on conversations 0 to 2 exactly as the default marker's.
FITTED = "bm25~0.49/0.31", "dense~0.24/0.18", "bm25*0.45+dense*0.77~0.34/0.14"
DEFAULT = "recency,random,bm25,dense,bm25+dense,bm25+dense~0.2,surprisal,attn-gs,attention,fusion," + ",".join(FITTED)
DIFFERENCES = (
    ("attention", "bm25"),
    ("attention", "dense"),
    ("attention", "attn-gs"),
    ("attention", "bm25+dense"),
    ("attention", "bm25+dense~0.2"),
    ("attention", FITTED[0]),
    ("attention", FITTED[1]),
    ("fusion", "bm25+dense"),
    ("fusion", "bm25+dense~0.2"),
    ("fusion", FITTED[2]),
    ("fusion", "attention"),
)
#: A published marker runs the whole history through the model for every request.
CAPS = "attn-gs=40"


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="LoCoMo's file, or the folder with locomo.json")
    parser.add_argument("--conversations", default=None, help="places in the file, from 0 (default: all)")
    parser.add_argument(
        "--markers",
        type=_names,
        default=_names(DEFAULT),
        help="names of markers; A+B: the sum of their z-scores; ~X: each record gets X of its neighbours' scores "
        f"(default: {DEFAULT})",
    )
    parser.add_argument(
        "--cap", type=_caps, default=CAPS, help="questions a conversation for slow markers (%(default)s)"
    )
    parser.add_argument("--limit", type=int, default=None, help="questions a conversation, evenly spread")
    parser.add_argument("--share", type=float, default=0.02, help="budget as a share of the history (%(default)s)")
    parser.add_argument("--model", default="smollm2", help="the marking model (%(default)s)")
    parser.add_argument("--device", default=None)
    parser.add_argument("--dtype", default=None)
    parser.add_argument("--calibration", type=Path, default=None, help="a calibration file (default: the model's)")
    parser.add_argument("--storage", choices=("native", "int8"), default="native", help="of keys (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the random marker and of the intervals")
    parser.add_argument("--name", default="marking", help="of the files that are written (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    return parser.parse_args(given)


def make(
    spec: str, loaded: LoadedModel, calibration: Calibration | None, seed: int, storage: Storage = "native"
) -> Marker:
    """A new marker by its name in the registry, or "A+B" and "A+B~share" as --markers describes it."""
    toolbox = Toolbox(loaded, calibration=calibration, storage=storage)
    if spec == "random":
        return random_marker(seed)
    if spec in MARKERS:
        return make_marker(spec, toolbox)
    names, _, shares = spec.partition("~")
    try:
        previous, _, following = shares.partition("/")
        smoothing = float(previous or 0.0), float(following or previous or 0.0)
        parts = []
        for part in names.split("+"):
            name, _, weight = part.partition("*")
            parts.append((make_marker(name, toolbox), float(weight or 1.0)))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"marker {spec!r}: expected numbers, as in bm25*0.5+dense~0.2/0.1") from None
    return fusion(parts, previous=smoothing[0], following=smoothing[1], name=spec)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure, and return the results document."""
    given = options.conversations
    conversations = load(options.data) if given is None else chosen(options.data, given)
    loaded = load_model(options.model, device=options.device, dtype=options.dtype)
    calibration = read_calibration(options.calibration) if options.calibration else None
    build = partial(make, loaded=loaded, calibration=calibration, seed=options.seed, storage=options.storage)
    # Before hours of measuring: is every marker there?
    for spec in options.markers:
        build(spec)

    def count_tokens(texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in loaded.tokenizer(list(texts), add_special_tokens=False)["input_ids"]]

    trials = [make_trial(labelled, count_tokens, options.share, options.limit) for labelled in conversations]
    started = provenance(Path(__file__).parent)
    results: dict[str, list[Measurement]] = {}
    for spec, rows in _measured(options, trials, build):
        results.setdefault(spec, []).extend(rows)
    return {
        "benchmark": "marking",
        "command": _command(options),
        "seed": options.seed,
        **started,
        "model": {
            "name": loaded.name,
            "fingerprint": loaded.fingerprint,
            "device": loaded.device.type,
            "dtype": str(loaded.dtype).removeprefix("torch."),
            "calibration": _calibration_name(loaded, calibration),
        },
        "share": options.share,
        "histories": {
            trial.labelled.history.user: {
                "records": len(trial.segments),
                "tokens": trial.tokens,
                "budget": trial.budget,
                "questions": len(trial.asked),
            }
            for trial in trials
        },
        "markers": summarise(results, options.seed),
        "differences": differences(results, DIFFERENCES, options.seed),
        "by_history": by_history(results, options.seed),
        "measurements": {spec: [asdict(row) for row in rows] for spec, rows in results.items()},
    }


def _measured(
    options: argparse.Namespace, trials: Sequence[Trial], build: Callable[[str], Marker]
) -> Iterator[tuple[str, list[Measurement]]]:
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(
            "", total=sum(len(spread(t.asked, options.cap.get(s))) for t in trials for s in options.markers)
        )
        for trial in trials:
            for spec in options.markers:
                progress.update(bar, description=f"{trial.labelled.history.user} {spec}")
                rows = []
                for row in measure(build(spec), trial, options.cap.get(spec)):
                    rows.append(row)
                    progress.advance(bar)
                yield spec, rows


def _calibration_name(loaded: LoadedModel, given: Calibration | None) -> str | None:
    try:
        return Toolbox(loaded, calibration=given).calibration.name
    except PenchantError:  # none of the markers needed one
        return None


def _command(options: argparse.Namespace) -> str:
    """The command line, with names instead of paths: results are published."""
    words = ["python", "benchmarks/marking.py"]
    for name, value in vars(options).items():
        if value is not None:
            words += [f"--{name}", _word(name, value)]
    return shlex.join(words)


def _word(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}={number}" for key, number in value.items())
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return Path(value).name if isinstance(value, Path) or name == "model" else str(value)


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _caps(text: str) -> dict[str, int]:
    return {name: int(number) for name, number in (part.split("=") for part in _names(text))}


def main() -> int:
    options = arguments()
    try:
        document = run(options)
    except PenchantError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"{options.name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    table = markdown(document)
    (options.out / f"{options.name}.md").write_text(f"`{document['command']}`\n\n{table}", encoding="utf-8")
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
