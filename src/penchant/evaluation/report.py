"""From measurements to figures with intervals, and to a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from penchant.evaluation.metrics import Interval, bootstrap, paired_bootstrap
from penchant.evaluation.protocol import METRICS, Measurement

Results = Mapping[str, Sequence[Measurement]]
"""Marker -> its measurements."""

TITLES = {"auc": "AUC", "recall_at_10": "recall at 10", "recall_at_budget": "recall at budget"}


def summarise(results: Results, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Marker -> number of questions, every metric with its interval, mean seconds and tokens of cold and warm calls.

    A marker without a warm call (one question a history) has None there.
    """
    return {name: _summary(rows, seed) for name, rows in results.items()}


def by_history(results: Results, seed: int = 0) -> dict[str, dict[str, dict[str, Any]]]:
    """History -> what `summarise` says of it alone."""
    users = dict.fromkeys(row.history for rows in results.values() for row in rows)
    return {user: summarise(_only(results, user), seed) for user in users}


def differences(results: Results, pairs: Sequence[tuple[str, str]], seed: int = 0) -> list[dict[str, Any]]:
    """First minus second marker of each pair that was measured, on the questions that both were asked: every metric
    with its paired interval, over all histories, and for each by itself."""
    found = []
    for first, second in pairs:
        if first in results and second in results:
            of_both = {first: results[first], second: results[second]}
            users = dict.fromkeys(row.history for row in results[first])
            each = {user: _difference(_only(of_both, user), first, second, seed) for user in users}
            found.append({"of": [first, second], **_difference(of_both, first, second, seed), "by_history": each})
    return found


def markdown(document: Mapping[str, Any]) -> str:
    """The tables of a results document: markers, differences, and recall at budget by history."""
    histories = document["histories"]
    lines = [
        "| marker | questions | " + " | ".join(TITLES.values()) + " | s cold | s warm | tokens cold | tokens warm |",
        "|---|--:|" + "--:|" * (len(METRICS) + 4),
    ]
    for name, summary in document["markers"].items():
        figures = [_interval(summary[metric]) for metric in METRICS]
        costs = [_number(summary["cold"]["seconds"], 3), _number(summary["warm"]["seconds"], 3)]
        tokens = [_number(summary["cold"]["tokens_fed"], 0), _number(summary["warm"]["tokens_fed"], 0)]
        lines.append("| " + " | ".join([name, str(summary["questions"]), *figures, *costs, *tokens]) + " |")
    if document["differences"]:
        lines += [
            "",
            "| difference | questions | " + " | ".join(TITLES.values()) + " |",
            "|---|--:|" + "--:|" * len(METRICS),
        ]
    for difference in document["differences"]:
        figures = [_interval(difference[metric], sign="+") for metric in METRICS]
        lines.append("| " + " | ".join([" − ".join(difference["of"]), str(difference["questions"]), *figures]) + " |")
    lines += ["", "| recall at budget | " + " | ".join(histories) + " |", "|---|" + "--:|" * len(histories)]
    for name in document["markers"]:
        alone = [document["by_history"][user].get(name) for user in histories]
        figures = [_number(summary["recall_at_budget"]["mean"] if summary else None, 3) for summary in alone]
        lines.append("| " + " | ".join([name, *figures]) + " |")
    return "\n".join(lines) + "\n"


def _summary(rows: Sequence[Measurement], seed: int) -> dict[str, Any]:
    figures = {metric: bootstrap([getattr(row, metric) for row in rows], seed)._asdict() for metric in METRICS}
    calls = {"cold": [row for row in rows if row.cold], "warm": [row for row in rows if not row.cold]}
    costs = {
        phase: {"seconds": _mean(some, lambda row: row.seconds), "tokens_fed": _mean(some, lambda row: row.tokens_fed)}
        for phase, some in calls.items()
    }
    return {"questions": len(rows), **figures, **costs}


def _difference(results: Results, first: str, second: str, seed: int) -> dict[str, Any]:
    rows = [{(row.history, row.question): row for row in results[name]} for name in (first, second)]
    both = [place for place in rows[0] if place in rows[1]]
    figures: dict[str, Any] = {"questions": len(both)}
    for metric in METRICS:
        values = [[getattr(side[place], metric) for place in both] for side in rows]
        figures[metric] = paired_bootstrap(values[0], values[1], seed)._asdict() if both else None
    return figures


def _only(results: Results, user: str) -> dict[str, list[Measurement]]:
    kept = {name: [row for row in rows if row.history == user] for name, rows in results.items()}
    return {name: rows for name, rows in kept.items() if rows}


def _mean(rows: Sequence[Measurement], of: Callable[[Measurement], float]) -> float | None:
    return sum(map(of, rows)) / len(rows) if rows else None


def _interval(value: Mapping[str, float] | None, sign: str = "") -> str:
    if value is None:
        return "–"
    mean, low, high = Interval(**value)
    return f"{mean:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
