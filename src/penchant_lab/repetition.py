"""False alarms of the stop for repetition: `python -m penchant_lab.repetition --data DATA` writes repetition.json and
repetition.md.

Texts that people wrote, in pieces of up to 4,000 characters (about what an answer may have): the code of Python's
standard library, this project's documentation and tables of results, and with --data the posts of a blog. None of them
is a loop, so each alarm is a false one. The alarms are listed by where they are, to be looked at.
"""

from __future__ import annotations

import argparse
import json
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penchant.cli.output import run_and_exit
from penchant.text.repetition import Repetition
from penchant_lab.bench.provenance import provenance
from penchant_lab.bench.results import make_folder

SIZE = 4_000
FILES = 400  # of each kind, evenly spread
ROOT = Path(__file__).resolve().parents[2]


def pieces(files: list[Path], root: Path) -> Iterator[tuple[str, str]]:
    """Yield (where, text) of each piece."""
    for file in sorted(files)[:: max(1, len(files) // FILES)]:
        text = file.read_text(encoding="utf-8", errors="replace")
        for start in range(0, len(text), SIZE):
            yield f"{file.relative_to(root)}:{text.count(chr(10), 0, start) + 1}", text[start : start + SIZE]


def posts(data: Path) -> Iterator[tuple[str, str]]:
    """Yield (where, text) of each post of 18f_blog/posts.jsonl, as a whole."""
    with (data / "18f_blog" / "posts.jsonl").open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            yield f"posts.jsonl:{number}", json.loads(line)["text"]


def alarms(texts: Iterator[tuple[str, str]]) -> dict[str, Any]:
    """Count the texts that are taken for loops, and say where they are."""
    found, count = [], 0
    for where, text in texts:
        count += 1
        if Repetition().add(text + "\n"):
            found.append(where)
    return {"texts": count, "alarms": len(found), "where": found}


def table(result: dict[str, Any]) -> str:
    """The result as a page."""
    rows = [f"| {kind} | {one['texts']:,} | {one['alarms']} |" for kind, one in result["kinds"].items()]
    lines = ["# False alarms of the stop for repetition", "", "| texts | n | taken for loops |", "|---|--:|--:|", *rows]
    where = [
        f"- {kind}: {', '.join(f'`{one}`' for one in found['where'])}"
        for kind, found in result["kinds"].items()
        if found["where"]
    ]
    return "\n".join([*lines, "", f"`{result['command']}`", "", *where]).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m penchant_lab.repetition", description=__doc__)
    parser.add_argument("--data", type=Path, help="the folder that holds 18f_blog")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    make_folder(options.out)
    library = Path(sysconfig.get_paths()["stdlib"])
    code = [one for one in library.glob("*/*.py") if "site-packages" not in one.parts]
    kinds = {
        "code: Python's standard library": alarms(pieces([*library.glob("*.py"), *code], library)),
        "documentation and tables: this project's": alarms(
            pieces([*(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")], ROOT)
        ),
    }
    if options.data:
        kinds["posts of a blog"] = alarms(posts(options.data))
    command = "python -m penchant_lab.repetition" + (" --data DATA" if options.data else "")
    result = {"command": command, **provenance(), "kinds": kinds}
    (options.out / "repetition.json").write_text(
        json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (options.out / "repetition.md").write_text(table(result), encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    run_and_exit(main)
