"""The tables of a results document: the same ones for Markdown and for the page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penchant_lab.bench.measurements import EVIDENCE, REFERENCES
from penchant_lab.bench.verdict import at, figure, short

Document = Mapping[str, Any]
NOTHING = "–"
_PAIRED = (
    "Paired, item by item, on the items that both methods answered; ✓ better, ✗ worse, ≈ not told apart, ? too few."
)
_LABELS = {"none": "no history", "full": "full history", "gold": "gold evidence"}


@dataclass(frozen=True)
class Table:
    """head: one more than the numbers of a row, since a row's first cell is its name. strong: rows to stress.
    notes: sentences to stand below."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    strong: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()


def label(method: str) -> str:
    return _LABELS.get(method, method)


def references(document: Document) -> Table | None:
    """No history, full history and gold evidence, if measured."""
    cells = [cell for cell in document["summary"]["cells"] if cell["method"] in REFERENCES]
    return _quality(document, "References", cells, shares=False) if cells else None


def methods(document: Document) -> list[Table]:
    """Quality of every method, a table for each budget."""
    cells = [cell for cell in document["summary"]["cells"] if cell["method"] not in REFERENCES]
    asked = dict.fromkeys(cell["asked"] for cell in cells)
    return [
        _quality(document, f"{at([one])}: quality", [cell for cell in cells if cell["asked"] == one]) for one in asked
    ]


def differences(document: Document) -> list[Table]:
    """The chosen method minus every other, a table for each budget, each figure with its judgement."""
    summary = document["summary"]
    found: list[Table] = []
    for asked in dict.fromkeys(one["asked"] for one in summary["differences"]):
        some = [one for one in summary["differences"] if one["asked"] == asked]
        names = [name for name in summary["names"] if any(name in one["values"] for one in some)]
        rows = tuple(
            (label(one["of"][1]), str(one["items"]), *(_judged(one["values"].get(name)) for name in names))
            for one in some
        )
        head = ("minus", "items in common", *(_title(document, name) for name in names))
        notes = (_PAIRED,) if not found else ()
        found.append(Table(f"{at([asked])}: {summary['chosen']} minus the others", head, rows, notes=notes))
    return found


def costs(document: Document) -> Table:
    """Tokens asked and got, tokens fed, seconds, memory."""
    cells = document["summary"]["cells"]
    about = {one["name"]: one for one in document.get("methods", ())}
    rows = []
    for cell in cells:
        tokens, sizes = cell["tokens"], about.get(cell["method"], {})
        rows.append(
            (
                _named(cell),
                _count(tokens["budget"]),
                _count(tokens["mean"]),
                _count(tokens["max"]),
                str(tokens["over"]) if tokens["budget"] is not None else NOTHING,
                f"{short(tokens['ratio'])}×" if tokens["ratio"] is not None else NOTHING,
                _count(cell["prompt_tokens"]),
                *(_count(cell["tokens_fed"][phase]) for phase in ("cold", "warm")),
                *(_seconds(cell["seconds"][phase]) for phase in ("cold", "warm")),
                _seconds(cell["answer_seconds"]),
                _percent(cell["fallback"]),
                _size(sizes.get("peak_bytes")),
                _size(sizes.get("stored_bytes")),
            )
        )
    head = (
        *("method", "budget", "tokens", "most", "over budget", "shorter", "prompt tokens"),
        *("fed cold", "fed warm", "s cold", "s warm", "s to answer", "fell back", "peak memory", "stored a user"),
    )
    notes = (
        "Tokens are means, seconds of making the notes are medians; cold: the first item of a history, with what is "
        "prepared for later ones. Over budget: items whose notes were larger than asked for.",
    )
    return Table("Costs", head, tuple(rows), _strong(document, cells), notes)


def categories(document: Document, budgets: Sequence[str] | None = None) -> list[Table]:
    """Loss and headline metric of each category of questions, at the listed budgets (default: all)."""
    summary = document["summary"]
    parts = summary["categories"]
    if not parts:
        return []
    positions = [
        position
        for position, cell in enumerate(parts[0]["cells"])
        if budgets is None or not cell["asked"] or cell["asked"] in budgets
    ]
    found = []
    for name in dict.fromkeys(("loss", summary["headline"])):
        figures = [[part["cells"][position]["values"].get(name) for part in parts] for position in positions]
        if not any(any(row) for row in figures):
            continue
        cells = [parts[0]["cells"][position] for position in positions]
        rows = [(_named(cell), *map(_figure, row)) for cell, row in zip(cells, figures, strict=True)]
        head = ("method", *(f"{part['category'] or 'none'} ({part['items']})" for part in parts))
        title = f"{_upper(_title(document, name))} by category (items)"
        found.append(Table(title, head, tuple(rows), _strong(document, cells)))
    return found


def category_differences(document: Document, budgets: Sequence[str] | None = None) -> list[Table]:
    """Loss and headline metric of the chosen method minus the others' in every category, a table for each budget."""
    names = dict.fromkeys(("loss", document["summary"]["headline"]))
    return [table for name in names if name for table in _category_differences(document, name, budgets)]


def _category_differences(document: Document, name: str, budgets: Sequence[str] | None) -> list[Table]:
    summary = document["summary"]
    parts = [(part, part["differences"]) for part in summary["categories"] if part.get("differences")]
    parts = [(part, some) for part, some in parts if any(name in one["values"] for one in some)]
    found = []
    for asked in dict.fromkeys(one["asked"] for _, some in parts for one in some):
        if budgets is not None and asked and asked not in budgets:
            continue
        methods = dict.fromkeys(one["of"][1] for _, some in parts for one in some if one["asked"] == asked)
        columns = [{one["of"][1]: one for one in some if one["asked"] == asked} for _, some in parts]
        rows = tuple(
            (label(method), *(_judged(column.get(method, {"values": {}})["values"].get(name)) for column in columns))
            for method in methods
        )
        head = ("minus", *(f"{part['category'] or 'none'} ({part['items']})" for part, _ in parts))
        title = f"{at([asked])}: {summary['chosen']} minus the others by category: {_title(document, name)}"
        found.append(Table(title, head, rows, notes=(_PAIRED,)))
    return found


def setting(document: Document) -> list[tuple[str, str]]:
    """How it was measured: names and values."""
    task, model, summary = document["task"], document["model"], document["summary"]
    git = document.get("git") or {}
    revision = str(git.get("revision") or "unknown")[:12] + (", with changes" if git.get("changed") else "")
    found = {
        "Command": document.get("command"),
        "Task": f"{task['name']}: {task['about']}",
        "Data": _listed(
            {**{name: document.get(name) for name in ("part", "limit", "categories")}, "file": task.get("data")}
        ),
        "Items": f"{summary['items']:,} of {summary['users']:,} users, seeds {_joined(document.get('seeds') or ())}",
        "Model": model["name"],
        "Model details": _listed({name: value for name, value in model.items() if name != "name"}),
        "Intervals": f"95 %, bootstrap of {summary['resampled']}, {summary['rounds']:,} resamples, seed "
        f"{summary['seed']}; none is corrected for how many comparisons there are",
        "Machine": _listed(document.get("machine") or {}),
        "Versions": _listed(document.get("versions") or {}),
        "Revision": revision,
    }
    return [(name, str(value)) for name, value in found.items() if value]


def about(document: Document) -> list[tuple[str, str]]:
    """Methods and what they are."""
    return [(label(one["name"]), str(one.get("about") or NOTHING)) for one in document.get("methods", ())]


def _quality(document: Document, title: str, cells: Sequence[Mapping[str, Any]], shares: bool = True) -> Table:
    """One row a method. Columns that say nothing for any row are left out, and reasons for that stand below."""
    values = [name for name in document["summary"]["names"] if any(name in cell["values"] for cell in cells)]
    order = sorted(values, key=lambda name: (name in EVIDENCE, name == "loss"))
    columns: dict[str, list[str]] = {"items": [str(cell["items"]) for cell in cells]}
    if any(cell["errors"] for cell in cells):
        columns["errors"] = [str(cell["errors"]) for cell in cells]
    columns |= {_title(document, name): [_figure(cell["values"].get(name)) for cell in cells] for name in order}
    columns["gain, nats"] = [_figure(cell["gain"], "+") for cell in cells]
    columns["gain over full, nats"] = [_figure(cell["over_full"], "+") for cell in cells]
    if shares:
        columns["share of gold's gain"] = [_share(cell["share_of_gold"]) for cell in cells]
        columns["share of full's gain"] = [_share(cell["recovered"]) for cell in cells]
    else:
        columns["of the history"] = [_percent(cell["kept"]) for cell in cells]
        columns["prompt tokens"] = [_count(cell["prompt_tokens"]) for cell in cells]
    columns = {name: column for name, column in columns.items() if any(one != NOTHING for one in column)}
    reasons: tuple[str, ...] = ()
    if shares:
        given = (cell[key]["reason"] for key in ("share_of_gold", "recovered") for cell in cells if cell[key])
        # One reason of each kind; the figures in it differ a little between methods of fewer items.
        kinds: dict[str, str] = {}
        for reason in filter(None, given):
            kinds.setdefault(re.sub(r"\d+", "", reason.partition(":")[0]), reason)
        reasons = tuple(f"No share: {reason}." for reason in kinds.values())
    rows = tuple(
        (label(cell["method"]), *(column[position] for column in columns.values()))
        for position, cell in enumerate(cells)
    )
    return Table(title, ("method", *columns), rows, _strong(document, cells), reasons)


def _strong(document: Document, cells: Sequence[Mapping[str, Any]]) -> frozenset[int]:
    return frozenset(position for position, cell in enumerate(cells) if cell["method"] == document["summary"]["chosen"])


def _named(cell: Mapping[str, Any]) -> str:
    return f"{label(cell['method'])}, {cell['asked']}" if cell["asked"] else label(cell["method"])


def _title(document: Document, name: str) -> str:
    title: str = document["summary"]["names"][name]["title"]
    return f"{title}, nats" if name == "loss" else title


def _figure(estimate: Mapping[str, Any] | None, sign: str = "") -> str:
    return NOTHING if estimate is None else figure(estimate, sign)


def _judged(estimate: Mapping[str, Any] | None) -> str:
    if estimate is None:
        return NOTHING
    mark = {"better": "✓", "worse": "✗", "tie": "≈", "too few": "?"}[estimate["verdict"]]
    return f"{figure(estimate, '+')} {mark}"


def _share(share: Mapping[str, Any] | None) -> str:
    return NOTHING if share is None or share["mean"] is None else figure(share, percent=True)


def _percent(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.0f} %"


def _count(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"


def _seconds(value: float | None) -> str:
    if value is None:
        return NOTHING
    return "0" if value == 0 else f"{value:.2g}" if value < 100 else f"{value:,.0f}"


def _size(value: float | None) -> str:
    if value is None:
        return NOTHING
    unit, name = next(
        (u, n) for u, n in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B")) if value >= u or u == 1
    )
    return f"{value / unit:.3g} {name}"


def _listed(parts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in parts.items() if value is not None)


def _joined(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values)) or NOTHING


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
