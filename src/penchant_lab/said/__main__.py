"""What turns leave behind: `python -m penchant_lab.said` writes results/said.json and said.md.

The other labelled sets were written by the one who wrote the mechanism. turns.jsonl was written by somebody else, who
had read only what must be true, and no code, pattern or labelled turn: wishes about what is kept, requests to forget,
changes, qualifiers, others' words, and plain statements. A turn's whole way is measured: wishes first, then whose words
they are, then statements and what they end. Half of the turns, drawn by a hash, is for mending (`--errors` prints the
errors there), the other half is only counted. `--before`: keep the figures as those of the code before it was mended.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from penchant.cli.output import run_and_exit
from penchant.conversation.facts import records_of
from penchant.conversation.instructions.patterns import patterns
from penchant.conversation.retention import Wish, wish_in
from penchant.conversation.retention.forgetting import forget_in_memory
from penchant.history.dialogue import Turn
from penchant_lab.bench.provenance import provenance
from penchant_lab.bench.results import make_folder
from penchant_lab.facts.changes import Change, outcome, same
from penchant_lab.measures.labelled import HALVES, half_of, proportion

HERE = Path(__file__).parent
WISHES = {"off": "off the record", "off-all": "from now on", "off-end": "kept again", "forget": "forget"}
STATED = ("plain", "change", "qualifier")
WHEN = datetime(2026, 1, 10, 9, tzinfo=UTC)


@dataclass(frozen=True)
class Row:
    """kind: one of `WISHES`; "off-not" or "forget-not" (no wishes); one of `STATED`; "others" (others' words). known:
    what the user said before. gone: what of it the turn ends or erases. own: the user's statements among others' words.
    """

    language: str
    kind: str
    text: str
    known: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    own: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decision:
    """there: how many there are. found: how many were found. right: how many of these rightly."""

    name: str
    there: int
    found: int
    right: int


def read(path: Path = HERE / "turns.jsonl") -> list[Row]:
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [
        Row(row["language"], row["kind"], row["text"], *(tuple(row.get(key, ())) for key in ("known", "gone", "own")))
        for row in rows
    ]


def decisions(row: Row) -> Iterator[Decision]:
    """Yield what was decided about a turn."""
    wish = wish_in(row.text)
    for kind, name in WISHES.items():
        there, found = row.kind == kind, _name(wish) == name
        yield Decision(name, there, found, there and found)
    over = ended(row, wish)
    yield Decision("ends, erases", len(row.gone), len(over), len(set(over) & set(row.gone)))
    said, told = kept(row.text, wish)
    if row.kind in WISHES:
        yield Decision("becomes a record", 0, bool(said), 0)
    elif row.kind in (*STATED, "others"):
        own = (row.text,) if row.kind in STATED else row.own
        right = bool(said) and all(any(one in whole or whole in one for whole in own) for one in said)
        yield Decision("becomes a record", bool(own), bool(said), right)
    if row.kind not in {"forget-not", "off-not"}:
        yield Decision("becomes an instruction", 0, len(told), 0)


def _name(wish: Wish | None) -> str | None:
    if wish is None:
        return None
    if wish.forget:
        return WISHES["forget"]
    return WISHES["off" if wish.lasting is None else "off-all" if wish.lasting else "off-end"]


def kept(text: str, wish: Wish | None) -> tuple[list[str], list[str]]:
    """Return the records and the standing instructions that a turn leaves."""
    rest = text if wish is None else "" if wish.off_record else wish.rest
    if not rest:
        return [], []
    told = [one.text for one in patterns()(rest, ()).given]
    return [one.text for one in records_of(Turn(0, "user", rest, WHEN), "made-up")], told


def ended(row: Row, wish: Wish | None) -> tuple[str, ...]:
    """Return what of the things known before a turn ends or erases."""
    if wish is not None and wish.forget:
        said = [Turn(2 * number, "user", one, WHEN) for number, one in enumerate(row.known)]
        left, _ = forget_in_memory(said, wish.forget, wish.language.code, "made-up")
        return tuple(one.text for one in said if one not in left)
    turns = (*row.known, row.text)
    over = outcome(Change(row.language, row.kind, half_of(row.text), turns, frozenset(), frozenset()))[1]
    return tuple(one for one in row.known if any(same(one, other) for other in over))


def figures(rows: Sequence[Row]) -> dict[str, Any]:
    """Precision and recall of what was decided, by its name, each with its 95 % Wilson interval."""
    made: dict[str, list[Decision]] = {}
    for row in rows:
        for one in decisions(row):
            made.setdefault(one.name, []).append(one)
    totals = {
        name: [sum(getattr(one, key) for one in some) for key in ("there", "found", "right")]
        for name, some in made.items()
    }
    return {
        name: {
            "there": there,
            "found": found,
            "right": right,
            "precision": proportion(right, found),
            "recall": proportion(right, there),
        }
        for name, (there, found, right) in totals.items()
    }


def measure(rows: Sequence[Row]) -> dict[str, Any]:
    """By half: figures of all turns, and how many turns of each kind and language are wholly right."""
    made: dict[str, Any] = {}
    for half in HALVES:
        some = [row for row in rows if half_of(row.text) == half]
        groups = {key: [row for row in some if key in (row.kind, row.language)] for row in some for key in _keys(row)}
        made[half] = {
            "turns": len(some),
            "all": figures(some),
            "wholly right": {
                key: {"turns": len(group), "share": proportion(sum(map(_right, group)), len(group))}
                for key, group in sorted(groups.items())
            },
        }
    return made


def _keys(row: Row) -> tuple[str, str]:
    return row.kind, row.language


def _right(row: Row) -> bool:
    return all(one.there == one.found == one.right for one in decisions(row))


def errors(rows: Sequence[Row]) -> None:
    """Print what is wrong in the given rows."""
    for row in rows:
        for one in decisions(row):
            if not one.there == one.found == one.right:
                print(f"{row.language} {row.kind}: {one.name}, {one.there} there, {one.found} found: {row.text!r}")


def table(result: dict[str, Any]) -> str:
    lines = [
        "# What turns leave behind",
        "",
        "Turns in five languages, written by somebody who knew none of the code. before: the code they were first "
        "measured on. 95 % Wilson intervals.",
        "",
        "| code | half | decision | there | precision | recall |",
        "|---|---|---|--:|--:|--:|",
    ]
    versions = [(name, result[name]) for name in ("before", "after") if name in result]
    for name, version in versions:
        for half in HALVES:
            for decision, row in version["figures"][half]["all"].items():
                shares = " | ".join(_interval(row[key]) for key in ("precision", "recall"))
                lines.append(f"| {name} | {half} | {decision} | {row['there']} | {shares} |")
    lines += ["", "Turns that leave exactly what they should, by kind and language:", ""]
    columns = [(name, half, version["figures"][half]["wholly right"]) for name, version in versions for half in HALVES]
    lines += [
        f"| turns | {' | '.join(f'{name}, {half}' for name, half, _ in columns)} |",
        f"|---|{'--:|' * len(columns)}",
    ]
    for key in sorted({key for *_, shares in columns for key in shares}):
        cells = (_interval(shares[key]["share"]) if key in shares else "" for *_, shares in columns)
        lines.append(f"| {key} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _interval(figure: list[float] | None) -> str:
    return "" if figure is None else "{:.2f} [{:.2f}, {:.2f}]".format(*figure)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m penchant_lab.said", description=__doc__)
    parser.add_argument("--errors", action="store_true", help="print the errors in the tuning half, and stop")
    parser.add_argument("--before", action="store_true", help="keep the figures as those of the code before mending")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    rows = read()
    if options.errors:
        errors([row for row in rows if half_of(row.text) == "tune"])
        return
    make_folder(options.out)
    file = options.out / "said.json"
    result = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    command = "python -m penchant_lab.said" + (" --before" if options.before else "")
    made = {"command": command, **provenance(HERE), "figures": measure(rows)}
    result["before" if options.before else "after"] = made
    file.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (options.out / "said.md").write_text(table(result), encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    run_and_exit(main)
