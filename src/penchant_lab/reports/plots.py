"""Plots as SVG. For a results document: quality against tokens and seconds, and gains with the references; for the
speed bench: the cost of a growing conversation.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penchant.extras import require
from penchant_lab.bench.measurements import REFERENCES
from penchant_lab.bench.verdict import at
from penchant_lab.reports.tables import Document, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# name: (what matplotlib draws with, the colour on white). The first is replaced, so that a page can choose by theme.
INK, DIM, LINE, ACCENT = "#010101", "#020202", "#030303", "#040404"
_LIGHT = {INK: "#1d1b18", DIM: "#635e56", LINE: "#e3dfd8", ACCENT: "#0b6066"}
_VARIABLE = {INK: "--ink", DIM: "--dim", LINE: "--line", ACCENT: "--accent"}
_SERIES = ("#a8590a", "#3d5fa8", "#8a3b7f", "#4f7a1c", "#b03a48", "#5b54b5", "#8c6d00", "#2b7fa3", "#7a5c47", "#6b6b6b")
_MARKERS = "osD^vPXdph"
for _place, _colour in enumerate(_SERIES):
    _key = f"#1000{_place:02x}"
    _LIGHT[_key], _VARIABLE[_key] = _colour, f"--series-{_place}"


@dataclass(frozen=True)
class _Look:
    colour: str
    marker: str
    wide: bool = False


def plots(document: Document, themed: bool = False) -> dict[str, str]:
    """{"quality", "gains", "cost"}: SVG by name, without those that have no data.

    themed: colours are the CSS variables of the page; otherwise those for a white ground. Text stays text. Raises
    `InputError` without matplotlib.
    """
    drawn = {
        "quality": _against(document, _tokens, "tokens in the prompt", REFERENCES[1:]),
        "gains": _bars(document),
        "cost": _against(document, _seconds, "seconds to make the notes, warm", ()),
    }
    titles = {"quality": "Quality against tokens", "gains": "Gains by method", "cost": "Quality against seconds"}
    return {name: _svg(figure, name, titles[name], themed) for name, figure in drawn.items() if figure is not None}


def growth(result: Mapping[str, Any]) -> str:
    """Plot the cost of a question by the number of exchanges before it, a line for each memory; on white.

    result: of part G of `penchant bench speed`. Raises `InputError` without matplotlib.
    """
    figure, axes = _canvas(9.2, 3.8, 2, alike=False)
    from matplotlib.ticker import LogLocator, NullFormatter

    panels: tuple[tuple[str, Callable[[Mapping[str, float]], float]], ...] = (
        ("tokens of the prompt", lambda row: row["tokens"]),
        ("seconds from the question to the first token", lambda row: row["seconds"] + row["first_token"]),
    )
    for panel, (title, of) in zip(axes, panels, strict=True):
        for position, (name, row) in enumerate(result["rows"].items()):
            sizes = [size for size in result["exchanges"] if str(size) in row]
            look = _Look(ACCENT, "o", True) if position == 0 else _Look(f"#1000{position:02x}", _MARKERS[position])
            values = [of(row[str(size)]) for size in sizes]
            width = 2.4 if look.wide else 1.2
            panel.plot(sizes, values, look.marker + "-", color=look.colour, linewidth=width, markersize=5, label=name)
        panel.set(xscale="log", yscale="log", xlabel="exchanges before the question")
        panel.set_title(title, fontsize=10, color=INK, loc="left")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20))
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:,.10g}")
            axis.set_minor_formatter(NullFormatter())
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=4, frameon=False, labelcolor=INK
    )
    return _svg(figure, "growth", "What a question costs as a conversation grows", themed=False)


def _look(document: Document) -> dict[str, _Look]:
    """The same colour and marker for a method in every plot."""
    chosen = document["summary"]["chosen"]
    names = dict.fromkeys(cell["method"] for cell in document["summary"]["cells"])
    looks = {name: _Look(DIM, "*") for name in REFERENCES} | ({chosen: _Look(ACCENT, "o", True)} if chosen else {})
    for position, name in enumerate(name for name in names if name not in looks):
        looks[name] = _Look(f"#1000{position % len(_SERIES):02x}", _MARKERS[position % len(_MARKERS)])
    return looks


def _quality(document: Document) -> tuple[str, Callable[[Mapping[str, Any]], Mapping[str, float] | None]]:
    """Return the name of the quality, and how to get it from a cell: gain over no history if measured, else the
    headline.
    """
    summary = document["summary"]
    if any(cell["gain"] for cell in summary["cells"]):
        return "gain over no history, nats", lambda cell: _zero if cell["method"] == "none" else cell["gain"]
    headline = summary["headline"]
    name = summary["names"][headline]["title"] if headline else "nothing"
    return name, lambda cell: cell["values"].get(headline)


_zero = {"mean": 0.0, "low": 0.0, "high": 0.0}


def _tokens(cell: Mapping[str, Any]) -> float | None:
    return cell["prompt_tokens"] or cell["tokens"]["mean"] or None


def _seconds(cell: Mapping[str, Any]) -> float | None:
    return cell["seconds"]["warm"] or cell["seconds"]["cold"] or None


def _against(
    document: Document, x_of: Callable[[Mapping[str, Any]], float | None], x_label: str, shown: Sequence[str]
) -> Figure | None:
    """Quality of every method over something that costs, a line for each method through its budgets."""
    title, of = _quality(document)
    series: dict[str, list[tuple[float, Mapping[str, float]]]] = {}
    for cell in sorted(document["summary"]["cells"], key=lambda one: one["prompt_tokens"] or 0):
        x, y = x_of(cell), of(cell)
        if x is not None and y is not None and (cell["method"] not in REFERENCES or cell["method"] in shown):
            series.setdefault(cell["method"], []).append((x, y))
    if not series:
        return None
    figure, axes = _canvas(9.2, max(4.2, 1.2 + 0.27 * len(series)))
    from matplotlib.ticker import LogLocator, NullFormatter

    looks = _look(document)
    for name, points in series.items():
        look, xs, ys = looks[name], [x for x, _ in points], [y["mean"] for _, y in points]
        sizes = {"markersize": 7 if look.wide else 5, "linewidth": 2.4 if look.wide else 1.2}
        axes.plot(xs, ys, look.marker + "-", color=look.colour, zorder=4 if look.wide else 3, **sizes)
        axes.errorbar(
            xs, ys, yerr=_ends([y for _, y in points]), fmt="none", ecolor=look.colour, elinewidth=1, zorder=2
        )
    axes.set_xscale("log")
    all_x = [x for points in series.values() for x, _ in points]
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(all_x) < 1000 * min(all_x) else (1,), numticks=20))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.06)
    if any(cell["gain"] for cell in document["summary"]["cells"]):
        axes.axhline(0, color=DIM, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    if shown and any(cell["gain"] for cell in document["summary"]["cells"]):
        axes.annotate(
            "no history", (0, 0), (4, 3), xycoords=("axes fraction", "data"), textcoords="offset points", color=DIM
        )
    axes.set(xlabel=x_label, ylabel=title)
    _names(axes, {name: (points[-1][0], points[-1][1]["mean"]) for name, points in series.items()}, looks)
    return figure


def _names(axes: Axes, ends: Mapping[str, tuple[float, float]], looks: Mapping[str, _Look]) -> None:
    """Names right of the axes, beside the last point of each line, pushed apart and joined to it by a thin line."""
    low, high = axes.get_ylim()
    height = axes.get_position().height * (axes.figure.get_figheight())  # type: ignore[union-attr]
    gap, order = 0.19 / height, sorted(ends, key=lambda name: ends[name][1])
    wanted = [(ends[name][1] - low) / (high - low) for name in order]
    positions: list[float] = []
    for want in wanted:
        positions.append(max(want, positions[-1] + gap) if positions else want)
    # Labels pushed out at the top move back down, and push those below them.
    limit = max(1.0, gap * (len(positions) - 1))
    for step in reversed(range(len(positions))):
        positions[step] = min(positions[step], limit)
        limit = positions[step] - gap
    for name, position in zip(order, positions, strict=True):
        look = looks[name]
        axes.annotate(
            label(name),
            ends[name],
            (1.045, position),
            textcoords="axes fraction",
            color=look.colour if not look.wide else ACCENT,
            fontweight="bold" if look.wide else "normal",
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": look.colour, "linewidth": 0.6, "alpha": 0.45, "shrinkB": 4},
        )


def _bars(document: Document) -> Figure | None:
    """Quality by method as bars with intervals, a panel for each budget; the references are lines."""
    title, of = _quality(document)
    cells = [cell for cell in document["summary"]["cells"] if of(cell) is not None]
    plain = [cell for cell in cells if cell["method"] not in REFERENCES]
    budgets = list(dict.fromkeys(cell["asked"] for cell in plain if cell["asked"])) or [""]
    if not plain:
        return None
    best: dict[str, float] = {}
    for cell in plain:
        best[cell["method"]] = max(best.get(cell["method"], float("-inf")), (of(cell) or _zero)["mean"])
    order = sorted(best, key=lambda name: best[name], reverse=not _lower_is_better(document))[::-1]
    figure, axes = _canvas(9.2, 1.3 + 0.3 * len(order), len(budgets))
    looks = _look(document)
    for panel, asked in zip(axes if len(budgets) > 1 else [axes], budgets, strict=True):
        for cell in (one for one in plain if one["asked"] in (asked, "")):
            estimate, look = of(cell) or _zero, looks[cell["method"]]
            row = order.index(cell["method"])
            panel.barh(row, estimate["mean"], color=look.colour, height=0.62, alpha=1 if look.wide else 0.55, zorder=2)
            panel.errorbar(
                estimate["mean"],
                row,
                xerr=_ends([estimate]),
                fmt="none",
                ecolor=INK,
                elinewidth=1.1,
                zorder=3,
            )
        for cell in (one for one in cells if one["method"] in REFERENCES):
            dashes = {"none": "solid", "full": (0, (5, 2)), "gold": (0, (1, 1.5))}[cell["method"]]
            name = label(cell["method"])
            panel.axvline((of(cell) or _zero)["mean"], color=INK, linewidth=1.3, linestyle=dashes, zorder=1, label=name)
        panel.set_yticks(range(len(order)), [label(name) for name in order])
        panel.grid(visible=False, axis="y")
        panel.set_title(at([asked]) if asked else "", fontsize=10, color=INK, loc="left")
        panel.tick_params(length=0)
    first = figure.axes[0]
    if first.get_legend_handles_labels()[1]:
        figure.legend(
            *first.get_legend_handles_labels(), loc="outside upper right", ncols=3, frameon=False, labelcolor=INK
        )
    figure.supxlabel(title, fontsize=10, color=DIM)
    return figure


def _lower_is_better(document: Document) -> bool:
    summary = document["summary"]
    gains = any(cell["gain"] for cell in summary["cells"])
    return not gains and not summary["names"][summary["headline"]]["higher_is_better"]


def _ends(estimates: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    """Lengths of error bars; none where there is no interval."""
    return [
        [max(0.0, one["mean"] - one["low"]) if one["low"] is not None else 0.0 for one in estimates],
        [max(0.0, one["high"] - one["mean"]) if one["high"] is not None else 0.0 for one in estimates],
    ]


def _canvas(width: float, height: float, panels: int = 1, *, alike: bool = True) -> tuple[Figure, Any]:
    require("matplotlib", extra="bench", why="a plot")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="none")
    axes = figure.subplots(1, panels, sharey=alike, sharex=True)
    for one in figure.axes:
        one.set_facecolor("none")
        one.spines[:].set_visible(False)
        one.spines["bottom"].set(visible=True, color=LINE)
        one.grid(color=LINE, linewidth=0.8)
        one.set_axisbelow(True)
        one.tick_params(which="both", colors=DIM, labelcolor=DIM, length=0)
        one.xaxis.label.set_color(DIM)
        one.yaxis.label.set_color(DIM)
    return figure, axes


def _svg(figure: Figure, name: str, title: str, themed: bool) -> str:
    import matplotlib

    out = io.StringIO()
    # Ids are hashed with the plot's name: several plots on a page must not share one.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "svg.id": None}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    body = out.getvalue()
    body = re.sub(r"<metadata>.*?</metadata>", "", body[body.index("<svg") :], flags=re.DOTALL)
    # The rest of the ids are the same in every plot, and nothing refers to them.
    meant = set(re.findall(r'#([\w.-]+)(?:"|\))', body))
    body = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in meant else "", body)
    for colour, plain in _LIGHT.items():
        body = body.replace(colour, f"var({_VARIABLE[colour]})" if themed else plain)
    return body.replace("<svg ", f'<svg role="img" aria-label="{html.escape(title, quote=True)}" ', 1)


def variables() -> Mapping[str, str]:
    """CSS variable -> colour on white, of the series."""
    return {_VARIABLE[key]: colour for key, colour in _LIGHT.items() if key.startswith("#1000")}
