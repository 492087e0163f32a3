"""Figures of a detector: of turns, of the spans that it finds, of sequences of turns, and on MT-Eval."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penchant.conversation.context import Detector
from penchant.conversation.instructions.store import InstructionStore
from penchant.history.dialogue import Instruction, Turn
from penchant_lab.instructions.labels import Row, spans
from penchant_lab.instructions.standing_wordings import WORDINGS

LANGUAGES = ("en", "de", "fr", "es", "it", "nl")
OVERLAP = 0.5
ROUNDS = 2000


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
            for position, true in enumerate(row["standing"]):
                if meets(spans(row)[position], (at, at + len(one.text))):
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
    """How many sequences end with the instructions that they should, of how many."""
    right = 0
    for row in data:
        turns: list[Turn] = []
        for text in row["turns"]:
            turns += [Turn(len(turns), "user", text), Turn(len(turns) + 1, "assistant", "Fine.")]
        instructions = InstructionStore("c")
        instructions.replay(turns, detect)
        index = {one.id: at for at, one in enumerate(instructions.all)}
        got = [
            [one.text, "stands" if one.active else index.get(str(one.ended_by), one.ended_by)]
            for one in instructions.all
        ]
        right += got == [[one["text"], one["outcome"]] for one in row["ledger"]]
    return [right, len(data)]


def false_alarms(detect: Detector, data: Sequence[Row]) -> Row:
    """Of turns without an instruction."""
    return {"turns": len(data), "found": sum(bool(detect(row["text"], ()).given) for row in data)}


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
        found[name] = {
            "turns": len(turns),
            "found": sum(bool(detect(text, ()).given) for text in turns),
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
