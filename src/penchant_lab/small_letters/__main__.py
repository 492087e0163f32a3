"""What small letters cost: `python -m penchant_lab.small_letters` writes results/small_letters.json and .md.

A German history of long chat turns, once with capitals and once in small letters, as people type. Nouns and beginnings
of sentences have capitals in German, so that a splitter that waits for them makes one segment of a whole turn. Recall:
the share of questions whose answer is in a profile of a few tokens; the questions are lower-cased, too. "whole turns"
is what a history in small letters would be without being cut. The history was written for this measurement, not for the
splitter.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from penchant import Personalizer
from penchant.cli.output import run_and_exit
from penchant.history.records import History, Record
from penchant.history.segmentation import Unit, segment
from penchant_lab.bench.provenance import provenance
from penchant_lab.bench.results import make_folder
from penchant_lab.measures.labelled import proportion
from penchant_lab.model_options import add_model_options, parsed

BUDGETS = (40, 80, 160)
MARKERS = ("fusion", "bm25")
TURNS = 3
"""How many of the pieces make one turn of a chat."""


@dataclass(frozen=True)
class Asked:
    """A question, and the words that answer it."""

    query: str
    part: str


@dataclass(frozen=True)
class Form:
    """How the history is written, and what is marked."""

    name: str
    small: bool
    unit: Unit = "auto"


FORMS = (Form("with capitals", False), Form("small letters", True), Form("small letters, whole turns", True, "record"))


def german(small: bool) -> tuple[History, list[Asked]]:
    """Return the history and its questions. small: in small letters."""
    lines = Path(__file__).with_name("german.jsonl").read_text(encoding="utf-8").splitlines()
    pieces: list[dict[str, str]] = [
        {key: text.lower() if small else text for key, text in json.loads(line).items()} for line in lines
    ]
    turns = [" ".join(piece["text"] for piece in turn) for turn in _groups(pieces)]
    asked = [Asked(piece["asked"], piece["part"]) for piece in pieces if "asked" in piece]
    return History([Record(text, id=str(number)) for number, text in enumerate(turns)]), asked


def _groups(pieces: Sequence[dict[str, str]]) -> list[Sequence[dict[str, str]]]:
    return [pieces[at : at + TURNS] for at in range(0, len(pieces), TURNS)]


def measure(model: Any) -> list[dict[str, Any]]:
    """Return the recall of each form, marker and budget."""
    rows = []
    for form in FORMS:
        history, asked = german(form.small)
        lengths = [len(one.text) for one in segment(history, form.unit)]
        about = {"form": form.name, "segments": len(lengths), "mean": mean(lengths), "longest": max(lengths)}
        for marker in MARKERS:
            personalizer = Personalizer(model, marker=marker, unit=form.unit)
            for budget in BUDGETS:
                profiles = [personalizer.compress(history, one.query, budget).text for one in asked]
                found = sum(one.part in text for one, text in zip(asked, profiles, strict=True))
                recall = proportion(found, len(asked))
                rows.append({**about, "marker": marker, "budget": budget, "n": len(asked), "recall": recall})
    return rows


def table(result: dict[str, Any]) -> str:
    """The result as a page."""
    lines = [
        f"| {row['form']} | {row['segments']} | {row['mean']:.0f} | {row['longest']} | {row['marker']} | "
        f"{row['budget']} | {row['recall'][0]:.2f} [{row['recall'][1]:.2f}, {row['recall'][2]:.2f}] |"
        for row in result["rows"]
    ]
    return "\n".join(
        [
            "# What small letters cost",
            "",
            f"A German chat of 15 turns and {result['rows'][0]['n']} questions, {result['model']}. Lengths in "
            "characters, budgets in tokens, recall with 95 % Wilson intervals.",
            "",
            "| history | segments | mean length | longest | marker | budget | recall |",
            "|---|--:|--:|--:|---|--:|--:|",
            *lines,
            "",
            f"`{result['command']}`",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m penchant_lab.small_letters", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    add_model_options(parser)
    options = parsed(parser)
    make_folder(options.out)
    command = "python -m penchant_lab.small_letters"
    result = {"command": command, **provenance(), "model": str(options.model), "rows": measure(options.model)}
    (options.out / "small_letters.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (options.out / "small_letters.md").write_text(table(result), encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    run_and_exit(main)
