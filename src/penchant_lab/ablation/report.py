"""The ablation as a table, a picture and a JSON file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from penchant.files import write_text
from penchant.lens.plot import HeadMap, plot_maps

TITLES = {"recall_at_budget": "recall at budget", "auc": "AUC"}


def write_ablation(document: Mapping[str, Any], out: Path, name: str = "ablation") -> list[Path]:
    """Write NAME.json, NAME.md and, once every head was tried, NAME.svg and NAME.png. Raises `InputError` where a
    picture can't be written."""
    paths = [out / f"{name}.json", out / f"{name}.md"]
    texts = [json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n", markdown(document)]
    for path, text in zip(paths, texts, strict=True):
        write_text(path, text)
    if document["heads"]:
        for suffix in (".svg", ".png"):
            plot(document, paths[0].with_suffix(suffix))
            paths.append(paths[0].with_suffix(suffix))
    return paths


def markdown(document: Mapping[str, Any]) -> str:
    """The table of variants, those that differ from the default beyond chance in bold, and what it was measured on."""
    histories = document["histories"]
    share = f"{document['share']:.0%}"
    lines = [
        "# Ablation",
        "",
        f"Each choice in marking by attention, varied alone. Model {document['model']} in {document['dtype']}; "
        f"{len(histories)} conversations of the tuning half of LoCoMo, {sum(h['questions'] for h in histories)} "
        f"questions; recall of evidence within {share} of the tokens. Heads and weights are chosen for each row on all "
        "conversations but the one they are scored on. Differences are paired, with 95 % intervals over questions; "
        "bold where the interval excludes zero.",
        "",
        f"| variant | questions | recall at {share} | difference | AUC | difference | tokens fed a request |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for variant in document["variants"]:
        cells = [variant["name"], str(variant["questions"])]
        for metric in TITLES:
            cells.append(f"{variant[metric]['mean']:.3f}")
            cells.append(_difference(variant["difference"][metric]) if variant["changes"] else "")
        lines.append("| " + " | ".join([*cells, f"{variant['tokens_fed']:,.0f}"]) + " |")
    default = document["variants"][0] if document["variants"] else None
    if default and default["heads"]:
        folds = "; ".join(
            f"without {history['name']}: {', '.join(heads)}"
            for history, heads in zip(histories, default["heads"], strict=True)
        )
        lines += ["", f"Heads of the default (layer.head), {folds}."]
    machine, versions = document["machine"], document["versions"]
    revision = document["git"]["revision"]
    lines += [
        "",
        f"{machine['cpu']}, {machine['torch_threads']} threads; torch {versions['torch']}, transformers "
        f"{versions['transformers']}; revision {revision[:12] if revision else 'unknown'}; `{document['command']}`.",
    ]
    return "\n".join(lines) + "\n"


def plot(document: Mapping[str, Any], path: Path) -> None:
    """Recall and AUC of every head alone by layer and head, those that the default chose at least once framed."""
    maps = document["heads"]
    recall, auc = (np.array(maps[metric], dtype=np.float32) for metric in TITLES)
    chosen = Counter(name for heads in document["variants"][0]["heads"] for name in heads)
    framed = [(int(layer), int(head)) for layer, _, head in (name.partition(".") for name in sorted(chosen))]
    plot_maps(
        [
            HeadMap(f"recall at {document['share']:.0%}", recall, 0.0, max(0.01, float(recall.max()))),
            HeadMap("AUC", auc, 0.5, 1.0),
        ],
        framed,
        path,
        f"{document['model']}: evidence found by each head alone",
    )


def _difference(value: Mapping[str, float]) -> str:
    text = f"{value['mean']:+.3f} [{value['low']:+.3f}, {value['high']:+.3f}]"
    return f"**{text}**" if value["low"] > 0 or value["high"] < 0 else text
