"""How well statements about the user are found: `python -m benchmarks.facts` writes results/facts.json and facts.md.

turns.txt holds turns written for this project; a half of them, drawn by a hash, is for tuning the patterns (`--errors`
prints what goes wrong there), the other is only counted. With --locomo PATH also what share of the turns that answer
a later question says something about its speaker, in the patterns' eyes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penchant.evaluation.provenance import provenance
from penchant.evaluation.tasks import locomo
from penchant.memory.facts import Statement, statements

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results"
_SAID = re.compile(r"\[\[(?P<about>[^|\]]*)\|(?P<text>[^\]]*)\]\]")


@dataclass(frozen=True)
class Labelled:
    """said: (start, end, what it is about or "")."""

    language: str
    half: str
    text: str
    said: tuple[tuple[int, int, str], ...]


def read(path: Path) -> list[Labelled]:
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            language, _, marked = line.partition(": ")
            half = "tune" if hashlib.sha256(line.encode()).digest()[0] % 2 else "test"
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


def on_locomo(path: Path) -> dict[str, Any]:
    """Each turn as its speaker's user turn, without the photo's caption."""
    turns = with_statement = given = evidence = answered = 0
    categories: dict[int, list[int]] = {}
    began = time.perf_counter()
    for conversation in locomo.load(path):
        says = {}
        for record in conversation.history:
            spoken = record.text.removeprefix(f"{record.meta['speaker']}: ").partition(" [shares a photo:")[0]
            found = statements(spoken, language="en")
            says[record.id] = bool(found)
            turns += 1
            with_statement += bool(found)
            given += len(found)
        for question in conversation.questions:
            hits = [says[name] for name in question.evidence]
            evidence += len(hits)
            answered += sum(hits)
            category = categories.setdefault(question.category, [0, 0])
            category[0] += sum(hits)
            category[1] += len(hits)
    return {
        "turns": turns,
        "with_statement": round(with_statement / turns, 3),
        "statements_per_turn": round(given / turns, 3),
        "evidence_turns": evidence,
        "evidence_with_statement": round(answered / evidence, 3),
        "by_category": {str(key): round(hit / of, 3) for key, (hit, of) in sorted(categories.items())},
        "seconds": round(time.perf_counter() - began, 2),
    }


def measure(turns: Sequence[Labelled], locomo_path: Path | None) -> dict[str, Any]:
    languages = list(dict.fromkeys(turn.language for turn in turns))
    halves = {
        half: {
            name: counted([t for t in turns if t.half == half and name in ("all", t.language)], told=False)
            for name in ("all", *languages)
        }
        for half in ("tune", "test")
    }
    result: dict[str, Any] = {"command": "python -m benchmarks.facts", **provenance(HERE), "labelled": halves}
    if locomo_path:
        result["locomo"] = on_locomo(locomo_path)
    return result


def table(result: dict[str, Any]) -> str:
    lines = [
        "# Statements about the user",
        "",
        "Turns written for this project before the patterns, by the one who wrote them; the half for tuning was looked "
        "at while the patterns were mended, the other only counted. The language isn't told. about: share of found "
        "statements with a labelled topic that get this topic.",
        "",
        "| half | language | turns | statements | precision | recall | about |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for half, languages in result["labelled"].items():
        for name, row in languages.items():
            figures = (_say(row[key]) for key in ("precision", "recall", "about"))
            lines.append(f"| {half} | {name} | {row['turns']} | {row['said']} | {' | '.join(figures)} |")
    if "locomo" in result:
        found = result["locomo"]
        by = ", ".join(f"category {key} {_say(share)}" for key, share in found["by_category"].items())
        lines += [
            "",
            f"LoCoMo, {found['turns']:,} turns, both speakers: {_say(found['with_statement'])} of the turns have a "
            f"statement, {_say(found['statements_per_turn'])} statements a turn. Of the {found['evidence_turns']:,} "
            f"evidence turns of the answerable questions {_say(found['evidence_with_statement'])} have one ({by}). "
            f"{found['seconds']} s for all turns.",
        ]
    return "\n".join(lines) + "\n"


def _say(figure: float | None) -> str:
    return "" if figure is None else f"{figure:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how well statements about the user are found.")
    parser.add_argument("--locomo", type=Path, help="LoCoMo's locomo.json, or its folder")
    parser.add_argument("--errors", action="store_true", help="print what goes wrong in the half for tuning, and stop")
    options = parser.parse_args()
    turns = read(HERE / "turns.txt")
    if options.errors:
        errors([turn for turn in turns if turn.half == "tune"])
        return
    result = measure(turns, options.locomo)
    (RESULTS / "facts.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (RESULTS / "facts.md").write_text(table(result), encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    main()
