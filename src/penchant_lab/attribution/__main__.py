"""How well others' words are found: `python -m penchant_lab.attribution` writes results/attribution.json and .md.

turns.jsonl holds turns in five languages: pasted letters, dialogues, fiction, dreams, cited mails, code, texts to
translate, and turns that only look like these. Half of them are for tuning (`--errors` prints the errors there); the
other half was written before the cues and is only measured. Precision and recall are of sentences; a sentence counts as
found if most of it was found. "left behind" counts what others' words leave: statements about the user, instructions.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from penchant.cli.output import run_and_exit
from penchant.conversation.attribution import mostly_others, others_words
from penchant.conversation.facts import statements
from penchant.conversation.instructions.patterns import patterns
from penchant.history.records import Record
from penchant.history.segmentation import segment_record
from penchant_lab.bench.provenance import provenance
from penchant_lab.bench.results import make_folder

HERE = Path(__file__).parent
LANGUAGES = ("en", "de", "fr", "es", "it")
Row = dict[str, Any]


def rows() -> list[Row]:
    """Return the labelled turns. others: the parts that are others' words."""
    return [json.loads(line) for line in (HERE / "turns.jsonl").read_text(encoding="utf-8").splitlines()]


def spans(row: Row) -> list[tuple[int, int]]:
    starts = [row["text"].index(part) for part in row["others"]]
    return [(start, start + len(part)) for start, part in zip(starts, row["others"], strict=True)]


def sentences(row: Row) -> Iterator[tuple[int, int, bool]]:
    """Yield the sentences of a turn, and whether each is others' words; where these begin and end, a sentence does."""
    text, true = row["text"], spans(row)
    cuts = sorted({0, len(text), *(at for span in true for at in span)})
    for start, end in itertools.pairwise(cuts):
        if text[start:end].strip():
            for one in segment_record(Record(text[start:end]), 0, "sentence"):
                if any(map(str.isalpha, one.text)):
                    at = start + one.start
                    yield at, start + one.end, any(a <= at < b for a, b in true)


def measure(some: Sequence[Row], *, show: bool = False) -> Row:
    """Figures of some turns. show: print what was missed or found wrongly."""
    right = wrong = missed = own = 0
    for row in some:
        found = others_words(row["text"])
        for start, end, true in sentences(row):
            said = mostly_others(found, start, end)
            right, wrong, missed = right + (said and true), wrong + (said and not true), missed + (true and not said)
            own += not true
            if show and said != true:
                print(f"{row['language']} {'missed' if true else 'wrong'}: {row['text'][start:end]}")
    return {
        "turns": len(some),
        "sentences of others": right + missed,
        "of the user": own,
        "precision": round(right / (right + wrong), 3) if right + wrong else None,
        "recall": round(right / (right + missed), 3) if right + missed else None,
        "own lost": wrong,
        "left behind": left_behind(some),
    }


def left_behind(some: Sequence[Row]) -> dict[str, int]:
    """How many statements and instructions others' words leave."""
    detect, told, given = patterns(), 0, 0
    for row in some:
        true = spans(row)
        told += sum(any(a < one.end and one.start < b for a, b in true) for one in statements(row["text"]))
        places = [row["text"].index(one.text) for one in detect(row["text"], ()).given]
        given += sum(any(a <= place < b for a, b in true) for place in places)
    return {"statements": told, "instructions": given}


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m penchant_lab.attribution", description=__doc__)
    options.add_argument("--errors", action="store_true", help="print the errors on the tuning half")
    options.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    chosen = options.parse_args()
    data = rows()
    if chosen.errors:
        measure([row for row in data if row["part"] == "tune"], show=True)
        return
    make_folder(chosen.out)
    document: Row = {"benchmark": "attribution", "command": "python -m penchant_lab.attribution", **provenance()}
    lines = ["| half | turns | sentences of others | precision | recall | own lost |", "|---|--:|--:|--:|--:|--:|"]
    for part in ("tune", "test"):
        some = [row for row in data if row["part"] == part]
        document[part] = measure(some) | {
            "by language": {code: measure([row for row in some if row["language"] == code]) for code in LANGUAGES}
        }
        cells = (document[part][key] for key in ("turns", "sentences of others", "precision", "recall", "own lost"))
        lines.append(f"| {part} | {' | '.join(map(str, cells))} |")
    (chosen.out / "attribution.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (chosen.out / "attribution.md").write_text("\n".join([*lines, ""]), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    run_and_exit(main)
