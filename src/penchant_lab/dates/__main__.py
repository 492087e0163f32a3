"""Dates in requests: `python -m penchant_lab.dates --data DATA` writes results/dates.json and dates.md.

How well they are found is measured on labelled requests, what they do to the marks on planted histories and on LoCoMo
(the first three conversations for tuning, the others only measured), where questions are read when the conversation
ends. PrefEval has no times: whether any of its requests moves is counted. `--errors` prints the labelled requests of
the tuning half that are read wrongly.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from penchant.cli.output import run_and_exit
from penchant.marking.resources import Resources
from penchant_lab.bench.provenance import provenance
from penchant_lab.bench.results import make_folder
from penchant_lab.dates import finding
from penchant_lab.dates.moving import Moved, Question, moves
from penchant_lab.dates.planted import planted
from penchant_lab.model_options import add_model_options, parsed
from penchant_lab.tasks import locomo, prefeval

MARKERS = ("fusion", "bm25")
PLANTED_BUDGET = 0.04
"""Of a planted history: six records of 160."""


def on_locomo(path: Path) -> dict[str, list[Question]]:
    halves: dict[str, list[Question]] = {}
    for number, labelled in enumerate(locomo.load(path)):
        halves.setdefault("tune" if number < locomo.TUNING else "test", []).extend(
            Question(f"category {one.category}", labelled.history, one.request, one.evidence)
            for one in labelled.questions
        )
    return halves


def on_prefeval(path: Path) -> dict[str, Any]:
    found = [
        Question("", item.history, item.request, item.evidence)
        for kind in get_args(prefeval.Kind)
        for item in prefeval.items(kind, path)
    ]
    return {"requests": len(found), "moved": moves(found)}


def measure(data: Path, model: str, markers: Sequence[str]) -> dict[str, Any]:
    moved = Moved(markers, Resources(model))
    questions = [Question(one.language, one.history, one.request, one.evidence) for one in planted()]
    kinds = [Question(one.kind, one.history, one.request, one.evidence) for one in planted()]
    return {
        "command": f"python -m penchant_lab.dates --data DATA --markers {' '.join(markers)}",
        "model": model,
        **provenance(Path(__file__).parent),
        "found": finding.measure(finding.read()),
        "planted": moved.measure(questions, PLANTED_BUDGET),
        "planted by kind": Moved(("bm25",), moved.resources).measure(kinds, PLANTED_BUDGET),
        "locomo": {half: moved.measure(some) for half, some in on_locomo(data / "locomo").items()},
        "prefeval": on_prefeval(data / "prefeval"),
    }


def table(result: dict[str, Any]) -> str:
    lines = [
        "# Dates in requests",
        "",
        "Labelled requests, written before this was measured, by the one who wrote the patterns; a date is right if "
        "both of its ends are. 95 % Wilson intervals.",
        "",
        "| half | language | requests | dates | precision | recall |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for half, languages in result["found"].items():
        for name, row in languages.items():
            shares = " | ".join(_interval(row[key]) for key in ("precision", "recall"))
            lines.append(f"| {half} | {name} | {row['requests']} | {row['dates']} | {shares} |")
    lines += [
        "",
        "Evidence recall without dates and with them, of the questions whose dates moved the marks; all others keep "
        "their marks. 95 % intervals, by conversation.",
        "",
        "| data | marker | questions | moved | recall | with dates | gain | better, worse |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    sets = {"planted, ": result["planted"], "planted, by time: ": result["planted by kind"]}
    sets |= {f"LoCoMo, {half}: ": row for half, row in result["locomo"].items()}
    for name, markers in sets.items():
        for marker, groups in markers.items():
            for group, row in groups.items():
                lines.append(_row(f"{name}{group}", marker, row))
    found = result["prefeval"]
    lines += ["", f"PrefEval, whose histories have no times: {found['moved']} of {found['requests']:,} requests move."]
    return "\n".join(lines) + "\n"


def _row(name: str, marker: str, row: dict[str, Any]) -> str:
    if not row["moved"]:
        return f"| {name} | {marker} | {row['questions']} | 0 | | | | |"
    low, high = row["gain"][1:]
    return (
        f"| {name} | {marker} | {row['questions']} | {row['moved']} | {row['recall']:.2f} | {row['with dates']:.2f} | "
        f"{row['gain'][0]:+.2f} [{low:+.2f}, {high:+.2f}] | {row['better']}, {row['worse']} |"
    )


def _interval(figure: list[float] | None) -> str:
    return "" if figure is None else "{:.2f} [{:.2f}, {:.2f}]".format(*figure)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m penchant_lab.dates", description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder with locomo and prefeval in it")
    add_model_options(parser)
    parser.add_argument("--markers", nargs="+", default=MARKERS, metavar="NAME")
    parser.add_argument("--errors", action="store_true", help="print the errors in the tuning half, and stop")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parsed(parser)
    if options.errors:
        finding.errors([row for row in finding.read() if row.half == "tune"])
        return
    if options.data is None:
        parser.error("expected --data FOLDER, or --errors")
    make_folder(options.out)
    result = measure(options.data, options.model, options.markers)
    (options.out / "dates.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (options.out / "dates.md").write_text(table(result), encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    run_and_exit(main)
