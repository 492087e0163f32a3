"""From the rows of a bench to figures with intervals: methods, references, differences, categories, and a verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from penchant.errors import InputError
from penchant_lab.bench.columns import rounded
from penchant_lab.bench.measurements import EVIDENCE, REFERENCES, Measured, Run, read
from penchant_lab.bench.rows import Row
from penchant_lab.bench.verdict import figure, verdict
from penchant_lab.measures.resampling import FEWEST, Estimate
from penchant_lab.measures.scores import METRICS

DEFAULT = "fusion"


def summarise(
    rows: Sequence[Row], metrics: Sequence[str] = (), chosen: str | None = None, seed: int = 0, rounds: int = 10_000
) -> dict[str, Any]:
    """Summarise the rows as one JSON document.

    metrics: those of the task, the headline first. chosen: the method that is compared with every other one (default:
    fusion, else the first that isn't a reference). Rows of several seeds of an item are averaged first.

    {"items", "users", "resampled": "users" | "items", "rounds", "seed", "headline", "chosen", "budgets",
    "names": {name: {"title", "higher_is_better"}}, "cells": [a method at a budget], "references", "differences":
    [chosen minus another], "categories": [{"category", "items", "cells", "differences"}], "verdict": [sentence]}. An
    estimate is {"mean", "low", "high", "n"}, its interval None with fewer than 6 clusters. Undefined values are None.

    Raises `InputError` for no rows, rows that are there twice, an unknown metric, or a chosen method without rows.
    """
    run = read(rows, metrics, seed, rounds)
    methods = list(dict.fromkeys(cell.method for cell in run.cells))
    plain = [name for name in methods if name not in REFERENCES]
    if chosen is not None and chosen not in methods:
        raise InputError(f"method {chosen!r} wasn't measured: expected one of {', '.join(methods)}")
    chosen = chosen or (DEFAULT if DEFAULT in plain else next(iter(plain), None))
    headline = next((name for name in (*metrics, *run.names) if name in run.names), None)
    document: dict[str, Any] = {
        "items": len(run.category),
        "users": run.users,
        "resampled": "users" if run.clustered else "items",
        "rounds": rounds,
        "seed": seed,
        "headline": headline,
        "chosen": chosen,
        "budgets": list(dict.fromkeys(cell.asked for cell in run.cells if cell.asked)),
        "names": {name: _described(name) for name in run.names},
        "cells": [_cell(run, cell) for cell in run.cells],
        "references": _references(run),
        "differences": _differences(run, chosen),
        "categories": _categories(run, headline, chosen),
    }
    document["verdict"] = verdict(document)
    found: dict[str, Any] = rounded(document)
    return found


def _described(name: str) -> dict[str, Any]:
    if name == "loss":
        return {"title": "loss", "higher_is_better": False}
    if name in EVIDENCE:
        return {"title": EVIDENCE[name], "higher_is_better": True}
    return {"title": METRICS[name].described(), "higher_is_better": METRICS[name].higher_is_better}


def _cell(run: Run, cell: Measured) -> dict[str, Any]:
    rows, failed = cell.rows, cell.failed
    tokens, history = sum(row.tokens for row in rows), sum(row.history_tokens for row in rows)
    budgeted = [row for row in rows if row.budget is not None]
    phases = {"cold": [row for row in rows if row.cold], "warm": [row for row in rows if not row.cold]}
    return {
        "method": cell.method,
        "asked": cell.asked,
        "items": cell.items,
        "errors": len(failed),
        "error": failed[0].error if failed else None,
        "values": {name: _json(estimate) for name, estimate in run.values(cell).items()},
        "tokens": {
            "budget": _mean(budgeted, lambda row: row.budget),
            "mean": _mean(rows, lambda row: row.tokens),
            "max": max((row.tokens for row in rows), default=None),
            "over": sum(row.tokens > row.budget for row in budgeted if row.budget is not None),
            "history": _mean(rows, lambda row: row.history_tokens),
            "ratio": history / tokens if tokens and history else None,
        },
        "prompt_tokens": _mean(rows, lambda row: row.prompt_tokens),
        "tokens_fed": {phase: _mean(some, lambda row: row.tokens_fed) for phase, some in phases.items()},
        "seconds": {phase: median([row.seconds for row in some]) if some else None for phase, some in phases.items()},
        "answer_seconds": _mean(rows, lambda row: row.answer_seconds),
        "fallback": _mean(rows, lambda row: row.fallback),
        "kept": _mean([row for row in rows if row.kept is not None], lambda row: row.kept),
        **_gains(run, cell),
    }


def _gains(run: Run, cell: Measured) -> dict[str, Any]:
    """gain: nats gained over no history, over_full: over the full history; shares of gold's and full's gain."""
    none, full, gold = (run.reference(name) for name in REFERENCES)
    loss = cell.column("loss")
    found: dict[str, Any] = dict.fromkeys(("gain", "over_full", "share_of_gold", "recovered"))
    if full is not None and cell is not full:
        found["over_full"] = _json(run.resampling.mean(full.column("loss") - loss))
    if none is None or cell is none:
        return found
    gain = none.column("loss") - loss
    found["gain"] = _json(run.resampling.mean(gain))
    for name, reference, what in (("share_of_gold", gold, "gold evidence"), ("recovered", full, "full history")):
        if reference is not None and cell is not reference:
            found[name] = _share(run, gain, none.column("loss") - reference.column("loss"), what)
    return found


def _share(run: Run, gain: npt.NDArray[np.float64], reference: npt.NDArray[np.float64], what: str) -> dict[str, Any]:
    """Return the share of a reference's gain, only if that gain is certain; else {"mean": None, ..., "reason"}."""
    common = np.where(np.isfinite(gain), reference, np.nan)
    there = run.resampling.mean(common)
    share = run.resampling.ratio(gain, common) if there is not None and there.sign > 0 else None
    if share is not None:
        return {**(_json(share) or {}), "reason": None}
    return {"mean": None, "low": None, "high": None, "n": there.n if there else 0, "reason": _no_share(there, what)}


def _no_share(there: Estimate | None, what: str) -> str:
    if there is None:
        return f"no item was answered with the {what}, without any history, and by the method"
    if there.interval is None:
        return f"too few items or users ({there.n} items) to say whether the {what} helps: it takes {FEWEST}"
    return f"the {what} does not help here: its gain is {figure(there.interval._asdict(), '+')} nats"


def _references(run: Run) -> dict[str, Any]:
    """Of full and gold, where measured: gain over no history and whether it helps ("yes", "no", "unclear")."""
    none = run.reference("none")
    found: dict[str, Any] = {}
    for name in REFERENCES[1:]:
        cell = run.reference(name)
        if none is None or cell is None:
            continue
        gain = run.resampling.mean(none.column("loss") - cell.column("loss"))
        if gain is not None:
            found[name] = {"gain": _json(gain), "helps": {1: "yes", -1: "no", 0: "unclear"}[gain.sign]}
    return found


def _differences(run: Run, chosen: str | None, mask: npt.NDArray[np.bool_] | None = None) -> list[dict[str, Any]]:
    """Chosen minus every other method at the same budget (or without one), item by item; of the items of the mask."""
    found = []
    for cell in run.cells:
        others = dict.fromkeys(other.method for other in run.cells if cell.method == chosen != other.method)
        for other in (run.cell(name, cell.asked) for name in others):
            if other is None:
                continue
            common = {row.item for row in cell.rows} & {row.item for row in other.rows}
            if mask is not None:
                common = {item for item in common if mask[cell.position[item]]}
            values = run.values(cell, minus=other, mask=mask) if common else {}
            found.append(
                {
                    "of": [cell.method, other.method],
                    "asked": cell.asked,
                    "items": len(common),
                    "values": {name: _judged(name, estimate) for name, estimate in values.items()},
                }
            )
    return found


def _judged(name: str, estimate: Estimate) -> dict[str, Any]:
    """verdict: "better", "worse", "tie" (the interval holds zero), or "too few" (there is no interval)."""
    good = 1 if _described(name)["higher_is_better"] else -1
    words = {good: "better", -good: "worse", 0: "tie"}
    return {**(_json(estimate) or {}), "verdict": "too few" if estimate.interval is None else words[estimate.sign]}


def _categories(run: Run, headline: str | None, chosen: str | None) -> list[dict[str, Any]]:
    names = np.unique(run.category)
    if len(names) < 2:
        return []
    none = run.reference("none")
    found = []
    for name in names:
        mask = run.category == name
        cells = []
        for cell in run.cells:
            values = run.values(cell, mask=mask)
            gain = None
            if none is not None and none is not cell:
                difference = np.where(mask, none.column("loss") - cell.column("loss"), np.nan)
                gain = run.resampling.mean(difference)
            shown = {key: _json(values[key]) for key in dict.fromkeys(("loss", headline)) if key in values}
            cells.append({"method": cell.method, "asked": cell.asked, "values": shown, "gain": _json(gain)})
        found.append(
            {
                "category": str(name),
                "items": int(mask.sum()),
                "cells": cells,
                "differences": _differences(run, chosen, mask),
            }
        )
    return found


def _json(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {"mean": estimate.mean, "low": estimate.low, "high": estimate.high, "n": estimate.n}


def _mean(rows: Sequence[Row], of: Callable[[Row], float | None]) -> float | None:
    values = [value for row in rows if (value := of(row)) is not None]
    return float(np.mean(values)) if values else None
