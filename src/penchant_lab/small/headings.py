"""The days over a profile's records: `python -m penchant_lab.small.headings` writes headings.json and headings.md.

A record is planted among `OTHERS` of a sample user, all with dates, and asked for: contradictions.txt's later records,
whose questions ask for no time, and when.jsonl's, whose questions ask for nothing else. For each way to show days: how
many answers are right, and how many name a day that was not asked for. Half of the records, drawn by a hash, were
looked at. With
--data: the loss of the true answers to LoCoMo's questions, those that are about a time and the others.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from penchant.cli.output import run_and_exit
from penchant.compression.layout import format_day, lay_out
from penchant.compression.profile import Profile
from penchant.compression.prompt import answer_messages, answer_notes
from penchant.compression.registry import BUDGET_FLOOR
from penchant.demo.samples import sample_users
from penchant.history.records import History, Record, Request
from penchant.inference.answer_row import PromptTokens
from penchant.inference.generation import batches, generate
from penchant.inference.likelihood import Exchange, losses
from penchant.models.chat import render_chat
from penchant.models.tokenization import prompt_ids, text_ids
from penchant.personalizer import Personalizer
from penchant.text.dates import asks_for_time
from penchant_lab.bench.provenance import provenance
from penchant_lab.bench.results import make_folder
from penchant_lab.measures.labelled import HALVES, half_of
from penchant_lab.model_options import add_model_options, parsed
from penchant_lab.small.floor import locomo_cases

HERE = Path(__file__).parent
OTHERS = 7
TOKENS = 32
START = datetime(2024, 6, 1, tzinfo=UTC)
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DAY = re.compile(rf"\b(?:{_MONTHS})\b|\b20\d\d\b")


@dataclass(frozen=True)
class Case:
    """kind: "fact" or "time". right: of the answer, a regular expression."""

    kind: str
    half: str
    history: History
    request: Request
    right: str


def cases() -> list[Case]:
    draw = random.Random(3)
    planted = []
    for line in (HERE / "contradictions.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            *_, later, question, _, right = (part.strip() for part in line.split("|"))
            when = START + timedelta(days=draw.randrange(360))
            planted.append(("fact", later, when, question, re.escape(right)))
    for one in map(json.loads, (HERE / "when.jsonl").read_text(encoding="utf-8").splitlines()):
        when = datetime.fromisoformat(one["when"]).replace(tzinfo=UTC)
        month = re.escape(format_day(when.date()).split()[1])
        planted.append(("time", one["text"], when, one["asks"], month))
    found = []
    for number, (kind, text, when, question, right) in enumerate(planted):
        others = draw.sample([one.text for one in sample_users()[number % 3][0]], OTHERS)
        days = [START + timedelta(days=draw.randrange(360)) for _ in others]
        dated = sorted(zip([text, *others], [when, *days], strict=True), key=lambda one: one[1])
        history = History(Record(one, str(at), when=day) for at, (one, day) in enumerate(dated))
        found.append(Case(kind, half_of(text), history, Request(question), right))
    return found


def _undated(history: History, profile: Profile, request: Request) -> str:
    return lay_out(history, profile.segments, dates=False)


WAYS: dict[str, Callable[[History, Profile, Request], str]] = {
    "always": lambda history, profile, request: profile.text,
    "never": _undated,
    "where the request is about a time (`ask`)": answer_notes,
}


def answers(personalizer: Personalizer, some: Sequence[Case], notes: Callable[..., str]) -> list[str]:
    loaded = personalizer.loaded
    starts = []
    for case in some:
        profile = personalizer.compress(case.history, case.request)
        prompt = render_chat(loaded, answer_messages(notes(case.history, profile, case.request), case.request))
        starts.append(PromptTokens(tuple(prompt_ids(loaded, prompt)), TOKENS))
    texts = [""] * len(starts)
    for batch in batches(starts, rows=16, tokens=16_000):
        for at, made in zip(batch, generate(loaded, [starts[at] for at in batch]), strict=True):
            texts[at] = made.text
    return texts


def measure(personalizer: Personalizer) -> dict[str, Any]:
    some = cases()
    result: dict[str, Any] = {}
    for way, notes in WAYS.items():
        said = list(zip(some, answers(personalizer, some, notes), strict=True))
        result[way] = {"said": [{"asked": case.request.query, "answer": text} for case, text in said]}
        for kind in ("fact", "time"):
            for half in HALVES:
                mine = [(case, text) for case, text in said if (case.kind, case.half) == (kind, half)]
                result[way][f"{kind}, {half}"] = {
                    "questions": len(mine),
                    "right": sum(re.search(case.right, text, re.IGNORECASE) is not None for case, text in mine),
                    "days": sum(_DAY.search(text) is not None for _, text in mine),
                }
    return result


def on_locomo(personalizer: Personalizer, data: Path) -> dict[str, Any]:
    """Loss of the true answer in nats per token with the notes of each of `WAYS`: questions, mean, mean difference from
    the first way, and its standard error.
    """
    loaded = personalizer.loaded
    some = [case for case in locomo_cases(data, 5) if case.size in {20, 50} and case.answer]
    exchanges = []
    for case in some:
        profile = personalizer.compress(case.history, case.request)
        for notes in WAYS.values():
            prompt = render_chat(loaded, answer_messages(notes(case.history, profile, case.request), case.request))
            exchanges.append(Exchange(tuple(prompt_ids(loaded, prompt)), tuple(text_ids(loaded, case.answer or ""))))
    found = losses(loaded, exchanges, [None])[0].reshape(len(some), len(WAYS)).numpy()
    timed = np.array([asks_for_time(case.request.query) for case in some])
    result: dict[str, Any] = {}
    for name, rows in (("about a time", found[timed]), ("others", found[~timed])):
        against = rows - rows[:, :1]
        result[name] = {
            way: [len(rows), float(rows[:, at].mean()), float(against[:, at].mean()), _error(against[:, at])]
            for at, way in enumerate(WAYS)
        }
    return result


def _error(values: npt.NDArray[Any]) -> float:
    return float(values.std(ddof=1) / len(values) ** 0.5)


def table(result: dict[str, Any]) -> str:
    lines = [
        "# Days over the records of a profile",
        "",
        f"{result['model']}, greedy, profiles of {BUDGET_FLOOR} tokens from {OTHERS + 1} records. Each cell: right "
        "answers, and answers that name a day or month; of the half that was looked at, and of the other one.",
        "",
        "| days | questions that ask for no time: right | name a day | questions that ask for the time: right |",
        "|---|--:|--:|--:|",
    ]
    for way, row in result["ways"].items():
        cells = [
            ", ".join(f"{row[f'{kind}, {half}'][key]} of {row[f'{kind}, {half}']['questions']}" for half in HALVES)
            for kind, key in (("fact", "right"), ("fact", "days"), ("time", "right"))
        ]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    if "locomo" in result:
        lines += [
            "",
            "LoCoMo, stretches of 20 and 50 records, the default budget: loss of the true answer in nats per token, "
            "and the difference from days over all records (standard error).",
            "",
            "| questions | " + " | ".join(result["ways"]) + " |",
            f"|---|{'--:|' * len(result['ways'])}",
        ]
        for name, ways in result["locomo"].items():
            cells = [f"{loss:.2f}, {more:+.3f} ({error:.3f})" for _, loss, more, error in ways.values()]
            lines.append(f"| {next(iter(ways.values()))[0]} {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m penchant_lab.small.headings", description=__doc__)
    add_model_options(parser)
    parser.add_argument("--data", type=Path, help="a LoCoMo file, or the folder that holds locomo.json")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parsed(parser)
    make_folder(options.out)
    personalizer = Personalizer(options.model, unit="record")
    command = "python -m penchant_lab.small.headings" + (" --data DATA" if options.data else "")
    result: dict[str, Any] = {"command": command, **provenance(HERE), "model": personalizer.loaded.name}
    result["ways"] = measure(personalizer)
    if options.data is not None:
        result["locomo"] = on_locomo(personalizer, options.data)
    (options.out / "headings.json").write_text(
        json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (options.out / "headings.md").write_text(table(result), encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    run_and_exit(main)
