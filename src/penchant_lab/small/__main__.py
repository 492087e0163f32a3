"""Records that contradict each other: `python -m penchant_lab.small` writes results/small.json and small.md.

contradictions.txt and fresh.txt hold pairs of records, the later of which says that the earlier one is no longer so.
Each pair is planted in a history of records by a sample user, `LARGE` or `LITTLE` of them, and its question is asked.
The first file, whose halves were drawn by a hash, and half of the second one have been looked at; the last pairs were
counted once the rule stood. With --data, a LoCoMo file: how much evidence the rule costs there, on conversations that
were not used to choose it.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from penchant.cli.output import run_and_exit
from penchant.compression.extractive import extractive
from penchant.demo.samples import sample_users
from penchant.errors import InputError
from penchant.history.records import History, Record, Request
from penchant.marking.marks import Marks
from penchant.personalizer import Personalizer
from penchant_lab.bench.provenance import provenance
from penchant_lab.bench.results import make_folder
from penchant_lab.measures.labelled import half_of
from penchant_lab.model_options import add_model_options, parsed
from penchant_lab.tasks import locomo

HERE = Path(__file__).parent
LARGE, LITTLE = 90, 4  # other records
TOGETHER = 8  # pairs in one large history
BUDGETS = (20, 36, 60, 100, 300)
START = datetime(2025, 1, 1, tzinfo=UTC)
SETS = ("tune", "test", "fresh", "last")
OUTCOMES = ("older alone", "newer alone", "both", "neither")


@dataclass(frozen=True)
class Pair:
    half: str  # of `SETS`
    earlier: str
    later: str
    question: str


@dataclass(frozen=True)
class Marked:
    """evidence: record ids; of a pair, the earlier one and the later one."""

    history: History
    request: Request
    marks: Marks
    evidence: tuple[str, ...]


def pairs() -> list[Pair]:
    found = []
    for line in (HERE / "contradictions.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            _, earlier, later, question, *_ = (part.strip() for part in line.split("|"))
            found.append(Pair(half_of(earlier), earlier, later, question))
    half = "fresh"
    for line in (HERE / "fresh.txt").read_text(encoding="utf-8").splitlines():
        if line == "# last":
            half = "last"
        elif not line.startswith("#"):
            _, earlier, later, question = (part.strip() for part in line.split("|"))
            found.append(Pair(half, earlier, later, question))
    return found


def planted(personalizer: Personalizer, some: Sequence[Pair], others: int, together: int) -> Iterator[Marked]:
    """Ask each pair's question of a history that holds it: the earlier record in the first half, the later one in the
    second."""
    draw = random.Random(1)
    some = draw.sample(some, len(some))
    for start in range(0, len(some), together):
        group = some[start : start + together]
        background = draw.sample([one.text for one in sample_users()[start % 3][0]], others)
        size = others + 2 * len(group)
        places = draw.sample(range(size // 2), len(group)), draw.sample(range(size // 2, size), len(group))
        texts: dict[int, tuple[str, str]] = {}
        for number, (pair, first, second) in enumerate(zip(group, *places, strict=True)):
            texts |= {first: (f"earlier-{number}", pair.earlier), second: (f"later-{number}", pair.later)}
        rest = iter(background)
        named = [texts.get(at) or (f"other-{at}", next(rest)) for at in range(size)]
        history = History(
            Record(text, name, when=START + timedelta(days=2 * at)) for at, (name, text) in enumerate(named)
        )
        for number, pair in enumerate(group):
            request = Request(pair.question)
            evidence = (f"earlier-{number}", f"later-{number}")
            yield Marked(history, request, personalizer.mark(history, request), evidence)


def outcomes(personalizer: Personalizer, cases: Sequence[Marked], *, together: bool) -> dict[str, dict[str, int]]:
    """How often each of `OUTCOMES` happened, by budget. together: with the rule."""
    compress = extractive(personalizer.loaded.tokenizer, updated=together)
    found = {}
    for budget in BUDGETS:
        counts = dict.fromkeys(OUTCOMES, 0)
        for case in cases:
            taken = {one.record_id for one in compress(case.history, case.request, case.marks, budget).segments}
            earlier, later = (name in taken for name in case.evidence)
            counts[OUTCOMES[2 if earlier and later else 0 if earlier else 1 if later else 3]] += 1
        found[str(budget)] = counts
    return found


def recall(personalizer: Personalizer, cases: Sequence[Marked]) -> dict[str, dict[str, float]]:
    """Share of the evidence in the profile without and with the rule, and the standard error of the difference."""
    found = {}
    for budget in (60, 150, 300, 600):
        kept = []
        for together in (False, True):
            compress = extractive(personalizer.loaded.tokenizer, updated=together)
            profiles = (compress(case.history, case.request, case.marks, budget) for case in cases)
            taken = [{one.record_id for one in profile.segments} for profile in profiles]
            kept.append(
                [np.mean([name in some for name in case.evidence]) for case, some in zip(cases, taken, strict=True)]
            )
        without, rule = np.array(kept)
        error = float((rule - without).std() / len(cases) ** 0.5)
        found[str(budget)] = {"without": float(without.mean()), "with": float(rule.mean()), "error": error}
    return found


def measure(personalizer: Personalizer, data: Path | None, conversations: Sequence[int], most: int) -> dict[str, Any]:
    dialogues = locomo.load(data) if data is not None else []
    if dialogues and not all(0 <= number < len(dialogues) for number in conversations):
        raise InputError(f"--conversations {conversations}: expected numbers from 0 to {len(dialogues) - 1}")
    known = pairs()
    result: dict[str, Any] = {**provenance(HERE), "model": personalizer.loaded.name, "planted": {}}
    for half in SETS:
        some = [one for one in known if one.half == half]
        for others, together in ((LARGE, TOGETHER), (LITTLE, 1)):
            cases = list(planted(personalizer, some, others, together))
            result["planted"][f"{half}, {others} other records"] = {
                way: outcomes(personalizer, cases, together=way == "with") for way in ("without", "with")
            }
    if dialogues:
        cases = []
        for number in conversations:
            labelled = dialogues[number]
            for question in labelled.questions[:: max(1, len(labelled.questions) // most)]:
                marks = personalizer.mark(labelled.history, question.request)
                cases.append(Marked(labelled.history, question.request, marks, question.evidence))
        result["locomo"] = {"conversations": list(conversations), "questions": len(cases)}
        result["locomo"]["recall"] = recall(personalizer, cases)
    return result


def table(result: dict[str, Any]) -> str:
    lines = [
        "# Records that contradict each other",
        "",
        "Pairs of records of which the later one says that the earlier one is no longer so, planted among records of a "
        f"sample user; {result['model']}, the default marker. How often a profile held the older alone / the newer "
        "alone / both / neither, without and with the rule (`compression/updates.py`). It was made on the tuning half; "
        "the errors of the test half were read afterwards, and its constants chosen anew by the totals of the first "
        "three sets. The last set was counted once.",
        "",
        f"| set | rule | {' | '.join(f'{budget} tokens' for budget in BUDGETS)} |",
        f"|---|---|{'--:|' * len(BUDGETS)}",
    ]
    for name, ways in result["planted"].items():
        for way, row in ways.items():
            cells = (" / ".join(str(count) for count in row[str(budget)].values()) for budget in BUDGETS)
            lines.append(f"| {name} | {way} | {' | '.join(cells)} |")
    if "locomo" in result:
        about = result["locomo"]
        named = ", ".join(map(str, about["conversations"]))
        lines += [
            "",
            f"LoCoMo, {about['questions']} questions of conversations {named}, not used to choose the rule: share of "
            "the evidence in the profile.",
            "",
            "| budget | without | with | difference (standard error) |",
            "|--:|--:|--:|--:|",
        ]
        for budget, row in about["recall"].items():
            gain = row["with"] - row["without"]
            lines.append(f"| {budget} | {row['without']:.3f} | {row['with']:.3f} | {gain:+.3f} ({row['error']:.3f}) |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m penchant_lab.small", description=__doc__)
    add_model_options(parser)
    parser.add_argument("--data", type=Path, help="a LoCoMo file, or the folder that holds locomo.json")
    parser.add_argument("--conversations", type=int, nargs="+", default=[4], help="their positions in the file")
    parser.add_argument("--questions", type=int, default=60, help="most questions of each conversation, about")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parsed(parser)
    make_folder(options.out)
    personalizer = Personalizer(options.model, unit="record")
    result = measure(personalizer, options.data, options.conversations, options.questions)
    result["command"] = "python -m penchant_lab.small" + (" --data DATA" if options.data else "")
    (options.out / "small.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (options.out / "small.md").write_text(table(result), encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    run_and_exit(main)
