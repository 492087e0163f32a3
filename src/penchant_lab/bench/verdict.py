"""The verdict of a bench: sentences made only from its figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Document = Mapping[str, Any]

REFERENCE = {"none": "no history", "full": "the full history", "gold": "the gold evidence"}


def verdict(summary: Document) -> list[str]:
    """Return sentences: whether a history helps at all; the gain of the chosen method at each budget; where it wins,
    ties and loses; failures and exceeded budgets. summary: of `summarise`, without its verdict.
    """
    return [
        *_history(summary),
        *(sentence for asked in _asked(summary) for sentence in _gains(summary, asked)),
        *_standings(summary),
        *_failures(summary),
    ]


def figure(estimate: Mapping[str, Any], sign: str = "", percent: bool = False) -> str:
    """A mean with its interval: "0.52 [0.48, 0.57]", "+0.31 [+0.2, +0.4]", "69 % [61, 77]"."""
    if percent:
        mean, low, high = (None if estimate[end] is None else _percent(estimate[end]) for end in _ENDS)
        return f"{mean} %" if low is None else f"{mean} % [{low}, {high}]"
    mean, low, high = (short(estimate[end], sign) for end in _ENDS)
    return mean if estimate["low"] is None else f"{mean} [{low}, {high}]"


def short(value: float | None, sign: str = "") -> str:
    """A number in three digits or so: 0.123, 1.23, 12.3, 123, 12,345; "–" for None."""
    if value is None:
        return "–"
    size = abs(value)
    digits = 3 if size < 1 else 2 if size < 10 else 1 if size < 100 else 0
    text = f"{value:{sign},.{digits}f}"
    return text.replace("-", "−") if float(text.replace(",", "")) else text.lstrip("+-")


def _percent(share: float) -> str:
    return f"{100 * share:.0f}".replace("-0", "0").replace("-", "−")


_ENDS = ("mean", "low", "high")


def at(asked: Sequence[str]) -> str:
    """Budgets as they read in a sentence: "At 1 %, 2 % and 100 tokens"; "Without a budget" for none."""
    named = [one.replace("%", " %") if "%" in one else f"{one} tokens" for one in asked if one]
    return f"At {_listed(named)}" if named else "Without a budget"


def _history(summary: Document) -> list[str]:
    gains = [(cell, cell["gain"]) for cell in summary["cells"] if cell["gain"] is not None]
    said = []
    sure = [cell for cell, gain in gains if gain["low"] is not None]
    if sure and all(gain["low"] is None or gain["low"] <= 0 for _, gain in gains):
        best, gain = max(((cell, cell["gain"]) for cell in sure), key=lambda pair: pair[1]["mean"])
        said.append(
            "On this data no history helps this model: nothing put into the prompt makes its loss clearly "
            f"lower than no history does. The best is {_named(best)}, with a gain of {figure(gain, '+')} nats."
        )
    for name, reference in summary["references"].items():
        gain = figure(reference["gain"], "+")
        said.append(
            {
                "yes": f"{_upper(REFERENCE[name])} helps: it gains {gain} nats over no history.",
                "no": f"{_upper(REFERENCE[name])} does not help here, it hurts: {gain} nats against no history.",
                "unclear": f"{_upper(REFERENCE[name])} does not clearly help here: {gain} nats against no history.",
            }[reference["helps"]]
        )
    full = next((cell for cell in summary["cells"] if cell["method"] == "full" and cell["kept"] is not None), None)
    if full is not None and full["kept"] < 0.995:
        said.append(f"Of the full history, the window takes {full['kept']:.0%} on average.".replace("%", " %"))
    return said


def _gains(summary: Document, asked: str) -> list[str]:
    chosen = summary["chosen"]
    cell = next(one for one in summary["cells"] if one["method"] == chosen and one["asked"] == asked)
    if cell["gain"] is None:
        return []
    parts = [f"gains {figure(cell['gain'], '+')} nats over no history"]
    if cell["share_of_gold"] and cell["share_of_gold"]["mean"] is not None:
        parts.append(f"which is {figure(cell['share_of_gold'], percent=True)} of the gold evidence's gain")
    if cell["over_full"] is not None:
        parts.append(f"and {figure(cell['over_full'], '+')} nats over the full history")
    return [f"{at([asked])}, {chosen} {', '.join(parts)}."]


def _standings(summary: Document) -> list[str]:
    """Where the chosen method wins, ties and loses; budgets at which that is the same share a sentence."""
    said = []
    for name in dict.fromkeys(("loss", summary["headline"])):
        same: dict[str, list[str]] = {}
        for asked in _asked(summary):
            judged = [
                (difference["of"][1], difference["values"][name])
                for difference in summary["differences"]
                if difference["asked"] == asked and name in difference["values"]
            ]
            if judged:
                same.setdefault(_standing(judged), []).append(asked)
        by = summary["names"][name]["title"] if same else ""
        said += [f"{at(budgets)}, by {by}, {summary['chosen']} is {standing}." for standing, budgets in same.items()]
    return said


def _standing(judged: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    words = {
        "better": "better than",
        "tie": "not clearly different from",
        "worse": "worse than",
        "too few": "measured on too few items to be told from",
    }
    groups = {
        verdict: [REFERENCE.get(name, name) for name, value in judged if value["verdict"] == verdict]
        for verdict in words
    }
    return "; ".join(f"{words[verdict]} {_listed(names)}" for verdict, names in groups.items() if names)


def _failures(summary: Document) -> list[str]:
    said = []
    for cell in summary["cells"]:
        if cell["errors"]:
            all_of_it = "" if cell["items"] else ", which is all of it"
            said.append(f"{_upper(_named(cell))} failed {cell['errors']} times{all_of_it}: {cell['error']}")
        if cell["tokens"]["over"]:
            said.append(f"{_upper(_named(cell))} went over its budget on {cell['tokens']['over']} items.")
    return said


def _asked(summary: Document) -> list[str]:
    return [cell["asked"] for cell in summary["cells"] if cell["method"] == summary["chosen"]]


def _named(cell: Mapping[str, Any]) -> str:
    name = REFERENCE.get(cell["method"], cell["method"])
    return f"{name} at {cell['asked']}" if cell["asked"] else name


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _upper(text: str) -> str:
    return text if not text.startswith(("the ", "no ")) else text[0].upper() + text[1:]
