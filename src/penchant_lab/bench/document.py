"""The output of a bench: results.json, and the report made from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penchant.errors import InputError
from penchant.models.loading import LoadedModel
from penchant_lab.bench.columns import to_columns
from penchant_lab.bench.journal import Journal
from penchant_lab.bench.plan import Plan
from penchant_lab.bench.provenance import provenance
from penchant_lab.bench.rows import Row
from penchant_lab.bench.summary import summarise
from penchant_lab.reports.markdown import markdown
from penchant_lab.reports.page import page


def make_document(
    plan: Plan, journal: Journal, loaded: LoadedModel, about: Mapping[str, Any], versus: str | None
) -> dict[str, Any]:
    """The results of every row in the journal that belongs to the plan's items, whichever run measured it.

    about: benchmark, part, limit, categories, data, calibration. versus: the method that the others are compared with.
    The document contains no text of the data.
    """
    items = {(seed, item.id): item for seed, some in plan.items.items() for item in some}
    rows = [row for row in journal.rows.values() if (row.seed, row.item) in items]
    first = next(iter(plan.items.values()))
    users = {item.user for item in first}
    names = list(dict.fromkeys([*(method.name for method in plan.methods), *(row.method for row in rows)]))
    told = {method.name: method.about for method in plan.methods}
    return {
        "benchmark": about["benchmark"],
        "command": " && ".join(journal.commands),
        "part": about["part"],
        "limit": about["limit"],
        **({"categories": about["categories"]} if about.get("categories") else {}),
        "seeds": list(plan.items),
        **provenance(Path(__file__).parent),
        "model": {
            "name": loaded.name,
            "fingerprint": loaded.fingerprint,
            "device": loaded.device.type,
            "dtype": str(loaded.dtype).removeprefix("torch."),
            "window": loaded.window,
            "calibration": about["calibration"],
        },
        "task": {
            "name": plan.task.name,
            "about": plan.task.about,
            "metrics": list(plan.task.metrics),
            "items": len(first),
            "users": len(users),
            "data": about["data"],
        },
        "budgets": list(plan.budgets),
        "methods": [
            {
                "name": name,
                "about": told.get(name) or journal.infos.get(name, {}).get("about"),
                **journal.infos.get(name, {}),
            }
            for name in names
        ],
        "rows": to_columns(_ordered(rows, names)),
        "summary": summarise(rows, plan.task.metrics, versus),
        "notes": list(about.get("notes", ())),
    }


def write_document(document: Mapping[str, Any], folder: Path) -> None:
    """results.json, report.md and report.html in a folder. Raises `InputError` when they can't be written."""
    texts = {
        "results.json": json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n",
        "report.md": markdown(document),
        "report.html": page(document),
    }
    for name, text in texts.items():
        try:
            (folder / name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise InputError(f"can't write {folder / name} ({error.strerror}): name a folder with --out") from error


def _ordered(rows: Sequence[Row], names: Sequence[str]) -> list[Row]:
    position = {name: number for number, name in enumerate(names)}
    return sorted(rows, key=lambda row: (position[row.method], row.asked, row.seed))
