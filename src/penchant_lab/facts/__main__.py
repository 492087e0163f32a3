"""How well statements about the user are found: `python -m penchant_lab.facts` writes results/facts.json and facts.md.

turns.txt holds turns written for this project before the patterns, fresh.txt more in looser language, written after
them. Half of each, drawn by a hash, is for tuning the patterns (`--errors` prints the errors there); the other half is
only measured. With --data FOLDER (containing locomo, prefeval and mt-eval), data by others is measured too: how many of
LoCoMo's turns that answer a later question, and of PrefEval's stated preferences, give a statement, and how many of
MT-Eval's tasks, which say hardly anything about their user. What statements end is measured on changes.jsonl.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penchant.cli.output import run_and_exit
from penchant.conversation.facts import Statement, statements
from penchant.lens.labelled import LabelledHistory
from penchant_lab.bench.provenance import provenance
from penchant_lab.bench.results import make_folder
from penchant_lab.facts import changes, labels
from penchant_lab.measures.labelled import half_of
from penchant_lab.model_options import add_model_options, parsed
from penchant_lab.tasks import locomo

HERE = Path(__file__).parent
LOOKED_AT = 250  # of the shuffled preferences of PrefEval
_SAID = re.compile(r"\[\[(?P<about>[^|\]]*)\|(?P<text>[^\]]*)\]\]")


@dataclass(frozen=True)
class Labelled:
    """said: (start, end, what it is about or "")."""

    language: str
    half: str
    text: str
    said: tuple[tuple[int, int, str], ...]


def read(path: Path, before: str = "") -> list[Labelled]:
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            language, _, marked = line.partition(": ")
            half = before + half_of(line)
            text, said, at = "", [], 0
            for match in _SAID.finditer(marked):
                text += marked[at : match.start()]
                said.append((len(text), len(text) + len(match["text"]), match["about"]))
                text += match["text"]
                at = match.end()
            found.append(Labelled(language, half, text + marked[at:], tuple(said)))
    return found


def counted(turns: Sequence[Labelled], *, told: bool) -> dict[str, Any]:
    """Statements found and missed (the same stretch: half of both overlaps), and how often the topic is right."""
    right = found = wanted = topics = topics_right = 0
    for turn in turns:
        got = statements(turn.text, language=turn.language if told else None)
        found += len(got)
        wanted += len(turn.said)
        for start, end, about in turn.said:
            one = next((g for g in got if _same(g, start, end)), None)
            right += one is not None
            if about and one is not None:
                topics += 1
                topics_right += one.about == about
    return {
        "turns": len(turns),
        "said": wanted,
        "found": found,
        "precision": round(right / found, 3) if found else None,
        "recall": round(right / wanted, 3) if wanted else None,
        "about": round(topics_right / topics, 3) if topics else None,
    }


def _same(one: Statement, start: int, end: int) -> bool:
    shared = min(one.end, end) - max(one.start, start)
    return 2 * shared >= max(one.end - one.start, end - start)


def errors(turns: Sequence[Labelled]) -> None:
    for turn in turns:
        got = statements(turn.text)
        for start, end, about in turn.said:
            one = next((g for g in got if _same(g, start, end)), None)
            if one is None:
                print(f"{turn.language} missed: {turn.text[start:end]}")
            elif about and one.about != about:
                print(f"{turn.language} about {one.about} for {about}: {one.text}")
        for one in got:
            if not any(_same(one, start, end) for start, end, _ in turn.said):
                print(f"{turn.language} wrong: {one.text}")


def on_locomo(conversations: Sequence[LabelledHistory]) -> dict[str, Any]:
    """Each turn as its speaker's user turn, without the photo's caption."""
    given: list[int] = []
    categories: dict[int, list[bool]] = {}
    began = time.perf_counter()
    for conversation in conversations:
        says = {}
        for record in conversation.history:
            spoken = record.text.removeprefix(f"{record.meta['speaker']}: ").partition(" [shares a photo:")[0]
            says[record.id] = len(statements(spoken))
        given += says.values()
        for question in conversation.questions:
            categories.setdefault(question.category, []).extend(says[name] > 0 for name in question.evidence)
    hits = [hit for found in categories.values() for hit in found]
    return {
        "turns": len(given),
        "with_statement": _share([n > 0 for n in given]),
        "statements_per_turn": round(sum(given) / len(given), 3),
        "milliseconds_per_turn": round((time.perf_counter() - began) / len(given) * 1e3, 2),
        "evidence_turns": len(hits),
        "evidence_with_statement": _share(hits),
        "by_category": {str(key): _share(found) for key, found in sorted(categories.items())},
    }


def on_prefeval(folder: Path) -> dict[str, Any]:
    """preference: what a user states outright; question: what the same user asks later. Without those that were looked
    at while the patterns were mended."""
    items = [
        one for file in sorted((folder / "explicit_preference").glob("*.json")) for one in json.loads(file.read_text())
    ]
    random.Random(0).shuffle(items)
    items = items[LOOKED_AT:]
    found = {key: [bool(statements(one[key])) for one in items] for key in ("preference", "question")}
    return {"users": len(items), **{key: _share(hits) for key, hits in found.items()}}


def on_mt_eval(folder: Path) -> dict[str, Any]:
    """User turns of refinement, and of the extended MT-bench: tasks."""
    turns = []
    for name in ("mt-bench_extended", "refinement_multi_inst"):
        for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            turns += [turn["user"] for turn in _conversation(json.loads(line))]
    return {"turns": len(turns), "with_statement": _share([bool(statements(turn)) for turn in turns])}


def _conversation(line: Any) -> list[Any]:
    return list(line["conversation"] if isinstance(line, dict) else line)


def _share(hits: Sequence[bool]) -> float:
    return round(sum(hits) / len(hits), 3)


def measure(turns: Sequence[Labelled], data: Path | None, model: str | None) -> dict[str, Any]:
    languages = list(dict.fromkeys(turn.language for turn in turns))
    halves = {
        half: {
            name: counted([t for t in turns if t.half == half and name in ("all", t.language)], told=False)
            for name in ("all", *languages)
        }
        for half in ("tune", "test", "fresh, tune", "fresh, test")
    }
    result: dict[str, Any] = {
        "command": "python -m penchant_lab.facts"
        + (" --data DATA" if data else "")
        + (f" --model {model}" if model else ""),
        **provenance(HERE),
        "labelled": halves,
        "changes": changes.measure(changes.read()),
    }
    if data:
        conversations = locomo.load(data / "locomo")
        result["locomo"] = {
            "tune": on_locomo(conversations[: locomo.TUNING]),
            "test": on_locomo(conversations[locomo.TUNING :]),
        }
        result["prefeval"] = on_prefeval(data / "prefeval")
        result["mt-eval"] = on_mt_eval(data / "mt-eval")
    if model:
        result["labels"] = labels.measure(model)
    return result


def table(result: dict[str, Any]) -> str:
    lines = [
        "# Statements about the user",
        "",
        "Turns written for this project before the patterns, by the one who wrote them, and more (fresh) in looser "
        "language, written after them. The halves for tuning were looked at while the patterns were mended, the others "
        "only counted. The language isn't told. about: share of found statements with a labelled topic that get it.",
        "",
        "| half | language | turns | statements | precision | recall | about |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for half, languages in result["labelled"].items():
        for name, row in languages.items():
            figures = (_say(row[key]) for key in ("precision", "recall", "about"))
            lines.append(f"| {half} | {name} | {row['turns']} | {row['said']} | {' | '.join(figures)} |")
    if "locomo" in result:
        lines += [
            "",
            "LoCoMo, both speakers, each turn taken for its speaker's. English patterns were mended on the first three "
            "conversations (tune). evidence: turns that answer a question, by the question's category.",
            "",
            "| half | turns | with a statement | statements a turn | evidence turns | with a statement | by category |",
            "|---|--:|--:|--:|--:|--:|---|",
        ]
        for half, row in result["locomo"].items():
            by = ", ".join(f"{key}: {_say(share)}" for key, share in row["by_category"].items())
            lines.append(
                f"| {half} | {row['turns']:,} | {_say(row['with_statement'])} | {_say(row['statements_per_turn'])} | "
                f"{row['evidence_turns']:,} | {_say(row['evidence_with_statement'])} | {by} |"
            )
        preferences, tasks = result["prefeval"], result["mt-eval"]
        lines += [
            "",
            f"PrefEval: {_say(preferences['preference'])} of {preferences['users']:,} stated preferences give a "
            f"statement, {_say(preferences['question'])} of the questions asked later. MT-Eval: "
            f"{_say(tasks['with_statement'])} of {tasks['turns']:,} turns that set a task. "
            f"{result['locomo']['test']['milliseconds_per_turn']} ms a turn on one core.",
        ]
    if "labels" in result:
        found = result["labels"]
        lines += [
            "",
            f"{found['cases']} made-up users who say a thing, and later that it changed; {found['model']} is asked for "
            "it. NLL of the value that holds; how much lower than that of the old one (standard error); how often",
            "",
            "| profile | NLL | margin | prefers what holds |",
            "|---|--:|--:|--:|",
        ]
        for way in ("labelled", "unlabelled", "newest alone"):
            row = found[way]
            lines.append(
                f"| {way} | {_say(row['nll_current'])} | {_say(row['margin'])} ({_say(row['margin_se'])}) | "
                f"{_say(row['prefers_current'])} |"
            )
    return "\n".join([*lines, *changes.table(result["changes"])]) + "\n"


def _say(figure: float | None) -> str:
    return "" if figure is None else f"{figure:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m penchant_lab.facts", description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder with locomo, prefeval and mt-eval in it")
    add_model_options(parser, None, "also measure whether labels of outdated statements help this model")
    parser.add_argument("--errors", action="store_true", help="print the errors in the tuning half, and stop")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parsed(parser)
    turns = [*read(HERE / "turns.txt"), *read(HERE / "fresh.txt", "fresh, ")]
    if options.errors:
        errors([turn for turn in turns if turn.half.endswith("tune")])
        changes.errors([row for row in changes.read() if row.half == "tune"])
        return
    make_folder(options.out)
    result = measure(turns, options.data, options.model)
    (options.out / "facts.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (options.out / "facts.md").write_text(table(result), encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    run_and_exit(main)
