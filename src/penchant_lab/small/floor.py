"""The floor of the default budget: `python -m penchant_lab.small.floor --data DATA` writes floor.json and floor.md.

Questions are asked of stretches of a history, `SIZES` records long, that hold their evidence: LoCoMo's conversations,
and PrefEval's (one stated preference, then talk about something else). For each floor: how much of the evidence is in
the profile, and, for LoCoMo, the loss of the true answer. The floor is chosen on LoCoMo's first three conversations and
half of PrefEval's preferences, drawn by a hash; the rest is only reported.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penchant.cli.output import run_and_exit, step_bar
from penchant.compression.budget import resolve_budget
from penchant.compression.extractive import extractive
from penchant.compression.prompt import answer_messages
from penchant.compression.registry import BUDGET_SHARE
from penchant.history.records import History, Request
from penchant.inference.likelihood import Exchange, losses
from penchant.models.chat import render_chat
from penchant.models.tokenization import prompt_ids, text_ids
from penchant.personalizer import Personalizer
from penchant.progress import Progress
from penchant_lab.bench.provenance import provenance
from penchant_lab.bench.results import make_folder
from penchant_lab.measures.labelled import HALVES, half_of
from penchant_lab.measures.metrics import bootstrap
from penchant_lab.model_options import add_model_options, parsed
from penchant_lab.tasks import locomo, prefeval

SIZES = (5, 20, 50, 120, 500)  # records
FLOORS = (0, 100, 200, 300, 400, 600)  # tokens; 0: a share of the history alone
PREFERENCES = 6  # of each half
MOST_PREFEVAL = 50  # its records are long: an exchange of 300 tokens each


@dataclass(frozen=True)
class Case:
    """A question about a stretch of a history. of: the conversation or the preference, for intervals."""

    data: str
    half: str
    of: str
    size: int
    history: History
    request: Request
    evidence: tuple[str, ...]
    answer: str | None


def stretches(history: History, evidence: Sequence[str], size: int) -> range | None:
    """Return the positions of `size` records with the evidence in the middle; None if they can't hold it."""
    at = [position for position, record in enumerate(history) if record.id in set(evidence)]
    if not at or max(at) - min(at) >= size or len(history) < size:
        return None
    start = min(max(0, (min(at) + max(at) + 1 - size) // 2), len(history) - size)
    return range(start, start + size)


def locomo_cases(data: Path, questions: int) -> Iterator[Case]:
    """Yield `questions` of each conversation and size. From 120 records on, they are asked of one stretch, which is
    encoded once.
    """
    for number, labelled in enumerate(locomo.load(data)):
        half, name = HALVES[number >= locomo.TUNING], f"locomo/{number}"
        for size in SIZES:
            chosen: list[Case] = []
            for question in labelled.questions[:: max(1, len(labelled.questions) // (4 * questions))]:
                span = stretches(labelled.history, question.evidence, size)
                if size >= 120 and chosen:
                    part = chosen[0].history
                elif span is not None:
                    part = History(list(labelled.history)[span.start : span.stop])
                else:
                    continue
                held = {record.id for record in part}
                if held.issuperset(question.evidence) and len(chosen) < questions:
                    chosen.append(
                        Case("LoCoMo", half, name, size, part, question.request, question.evidence, question.answer)
                    )
            yield from chosen


def prefeval_cases(data: Path) -> Iterator[Case]:
    """Yield `PREFERENCES` of each half, evenly spread, at sizes up to `MOST_PREFEVAL`."""
    farthest = str(max(prefeval.DISTANCES))
    all_items = [item for item in prefeval.items("explicit", data) if item.category == farthest]
    for half in HALVES:
        mine = [item for item in all_items if half_of(item.user) == half]
        for item in mine[:: max(1, len(mine) // PREFERENCES)][:PREFERENCES]:
            for size in (size for size in SIZES if size <= MOST_PREFEVAL):
                span = stretches(item.history, item.evidence, size)
                if span is not None:
                    part = History(list(item.history)[span.start : span.stop])
                    yield Case("PrefEval", half, item.user, size, part, item.request, item.evidence, None)


def measure(personalizer: Personalizer, cases: Sequence[Case], progress: Progress) -> list[dict[str, Any]]:
    """Return for each case and floor: tokens of the profile, the share of the evidence in it, and the answer's loss in
    nats per token (None without an answer).
    """
    loaded = personalizer.loaded
    compress = extractive(loaded.tokenizer)
    rows: list[dict[str, Any]] = []
    exchanges, places = [], []
    for number, case in enumerate(cases):
        progress("marking", number, len(cases))
        marks = personalizer.mark(case.history, case.request)
        tokens = marks.history_tokens
        for floor in FLOORS:
            budget = max(floor, resolve_budget(BUDGET_SHARE, tokens))
            profile = compress(case.history, case.request, marks, budget)
            taken = {one.record_id for one in profile.segments}
            recall = float(np.mean([name in taken for name in case.evidence]))
            about = {"data": case.data, "half": case.half, "of": case.of, "size": case.size, "history_tokens": tokens}
            rows.append({**about, "floor": floor, "tokens": profile.tokens, "recall": recall, "loss": None})
            if case.answer is not None:
                prompt = render_chat(loaded, answer_messages(profile.text, case.request))
                exchanges.append(Exchange(tuple(prompt_ids(loaded, prompt)), tuple(text_ids(loaded, case.answer))))
                places.append(len(rows) - 1)
    if exchanges:
        for place, loss in zip(places, losses(loaded, exchanges, [None])[0].tolist(), strict=True):
            rows[place]["loss"] = loss
    return rows


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the means of `measure` with 95 % intervals, over whole conversations or preferences."""
    found = []
    for data, half, size in dict.fromkeys((row["data"], row["half"], row["size"]) for row in rows):
        for floor in FLOORS:
            mine = [
                row
                for row in rows
                if (row["data"], row["half"], row["size"], row["floor"]) == (data, half, size, floor)
            ]
            of = [row["of"] for row in mine]
            one: dict[str, Any] = {"data": data, "half": half, "size": size, "floor": floor, "questions": len(mine)}
            one["history_tokens"] = round(float(np.mean([row["history_tokens"] for row in mine])))
            for key in ("tokens", "recall", "loss"):
                values = [row[key] for row in mine if row[key] is not None]
                one[key] = [round(figure, 3) for figure in bootstrap(values, clusters=of)] if values else None
            found.append(one)
    return found


def table(result: dict[str, Any]) -> str:
    """The result as a page."""
    lines = [
        "# The floor of the default budget",
        "",
        f"{result['model']}, the default marker. Each cell: share of the evidence in the profile [95 % interval], "
        "and for LoCoMo the loss of the true answer in nats per token. Floor 0 is a share of the history "
        f"({BUDGET_SHARE}) alone. Intervals over three conversations of LoCoMo are rough.",
        "",
        f"| data | half | records | questions | history | {' | '.join(f'{floor} tokens' for floor in FLOORS)} |",
        f"|---|---|--:|--:|--:|{'--:|' * len(FLOORS)}",
    ]
    found = {(one["data"], one["half"], one["size"], one["floor"]): one for one in result["summary"]}
    for data, half, size in dict.fromkeys(key[:3] for key in found):
        cells = []
        for floor in FLOORS:
            one = found[data, half, size, floor]
            mean, low, high = one["recall"]
            loss = "" if one["loss"] is None else f"; {one['loss'][0]:.2f}"
            cells.append(f"{mean:.2f} [{low:.2f}, {high:.2f}]{loss}")
        first = found[data, half, size, 0]
        lines.append(
            f"| {data} | {half} | {size} | {first['questions']} | {first['history_tokens']:,} | {' | '.join(cells)} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m penchant_lab.small.floor", description=__doc__)
    add_model_options(parser)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds locomo/ and prefeval/")
    parser.add_argument("--questions", type=int, default=3, help="of each LoCoMo conversation and size")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parsed(parser)
    make_folder(options.out)
    cases = [*locomo_cases(options.data / "locomo", options.questions), *prefeval_cases(options.data / "prefeval")]
    personalizer = Personalizer(options.model, unit="record")
    with step_bar() as progress:
        rows = measure(personalizer, cases, progress)
    command = f"python -m penchant_lab.small.floor --data DATA --questions {options.questions}"
    result = {"command": command, **provenance(Path(__file__).parent), "model": personalizer.loaded.name}
    result |= {"summary": summary(rows), "rows": rows}
    (options.out / "floor.json").write_text(
        json.dumps(result, ensure_ascii=False).replace('}, {"data"', '},\n{"data"') + "\n", encoding="utf-8"
    )
    (options.out / "floor.md").write_text(table(result), encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    run_and_exit(main)
