"""How well wishes about what is kept are understood: `python -m penchant_lab.retention` writes results/retention.json
and .md.

turns.jsonl: turns in five languages that are off the record, ask to forget something, or only look like it ("don't
forget that ..."). mentions.jsonl: requests to forget, sentences that say it, and innocent ones. Half of each is for
tuning (`--errors` prints the errors there); the other half was written before the phrases and is only measured.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from penchant.cli.output import run_and_exit
from penchant.conversation.retention import wish_in
from penchant.conversation.retention.mentions import mentions
from penchant_lab.bench.provenance import provenance
from penchant_lab.bench.results import make_folder

HERE = Path(__file__).parent
LANGUAGES = ("en", "de", "fr", "es", "it")
Row = dict[str, Any]


def rows(name: str, part: str) -> list[Row]:
    lines = (HERE / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["part"] == part]


def understood(text: str) -> tuple[str | None, str | None]:
    """Return the wish in a turn, and what is to be forgotten, as the rows have them."""
    wish = wish_in(text)
    if wish is None:
        return None, None
    if any(one.kind == "last" for one in wish.forget):
        return "last", None
    return ("forget", wish.forget[0].wanted) if wish.forget else ("off_record", None)


def on_turns(some: Sequence[Row], *, show: bool = False) -> Row:
    """Wishes that were understood exactly. show: print the others."""
    pairs = [((row["wish"], row.get("wanted")), understood(row["text"])) for row in some]
    if show:
        for row, (true, found) in zip(some, pairs, strict=True):
            if true != found:
                print(f"{row['language']} {found} for {true}: {row['text']}")
    return {
        "turns": len(some),
        **_figures((true[0] is not None, found[0] is not None, true == found) for true, found in pairs),
    }


def on_mentions(some: Sequence[Row], *, show: bool = False) -> Row:
    """Sentences that are found for a request."""
    found: list[tuple[bool, bool, bool]] = []
    for row in some:
        wish = wish_in(row["request"])
        for key in ("says", "innocent"):
            for text in row[key]:
                said = wish is not None and any(mentions(text, one, wish.language.code) for one in wish.forget)
                found.append((key == "says", said, said == (key == "says")))
                if show and not found[-1][-1]:
                    print(f"{row['request']} {'missed' if key == 'says' else 'wrong'}: {text}")
    return {"requests": len(some), "sentences": len(found), **_figures(found)}


def _figures(pairs: Iterable[tuple[bool, bool, bool]]) -> Row:
    """Of (there is one, one was found, it is right)."""
    listed = list(pairs)
    there, found = sum(one for one, _, _ in listed), sum(one for _, one, _ in listed)
    right = sum(a and b and c for a, b, c in listed)
    return {
        "there": there,
        "found": found,
        "right": right,
        "precision": round(right / found, 3) if found else None,
        "recall": round(right / there, 3) if there else None,
    }


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m penchant_lab.retention", description=__doc__)
    options.add_argument("--errors", action="store_true", help="print the errors on the tuning half")
    options.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    chosen = options.parse_args()
    if chosen.errors:
        on_turns(rows("turns", "tune"), show=True)
        on_mentions(rows("mentions", "tune"), show=True)
        return
    make_folder(chosen.out)
    document: Row = {"benchmark": "retention", "command": "python -m penchant_lab.retention", **provenance()}
    lines = ["| what | half | n | precision | recall | found wrongly |", "|---|---|--:|--:|--:|--:|"]
    for part in ("tune", "test"):
        turns, said = rows("turns", part), rows("mentions", part)
        by = {code: on_turns([row for row in turns if row["language"] == code]) for code in LANGUAGES}
        document[part] = {"wishes": on_turns(turns) | {"by language": by}, "mentions": on_mentions(said)}
        for name, size in (("wishes", "turns"), ("mentions", "sentences")):
            one = document[part][name]
            cells = (one[size], one["precision"], one["recall"], one["found"] - one["right"])
            lines.append(f"| {name} | {part} | {' | '.join(map(str, cells))} |")
    (chosen.out / "retention.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (chosen.out / "retention.md").write_text("\n".join([*lines, ""]), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    run_and_exit(main)
