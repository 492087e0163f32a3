"""Results on disk: one JSON document that grows part by part, and a short page of tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from penchant.errors import InputError
from penchant.files import write_text

#: Fields that must be equal for a part to be the same measurement.
SETTING = ("model", "dtype", "calibration", "quick")
MACHINE = ("cpu", "threads", "penchant", "torch", "transformers", "revision")


def read_results(path: Path) -> dict[str, Any]:
    """The document as it is so far. Raises `InputError` for a file that isn't one."""
    if not path.is_file():
        return {"parts": {}}
    try:
        whole: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(whole["parts"], dict):
            raise TypeError("parts")
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path} isn't a results file of the speed benchmark: delete it or name another folder"
        ) from error
    return whole


def is_done(whole: dict[str, Any], part: str, document: dict[str, Any]) -> bool:
    """Whether the part was measured to its end with the same config, on the same machine and revision."""
    entry = whole["parts"].get(part, {})
    return bool(
        entry.get("complete")
        and all(entry.get(key) == document[key] for key in SETTING)
        and all(entry["machine"].get(key) == document["machine"][key] for key in MACHINE)
    )


def merge(path: Path, part: str, document: dict[str, Any], measured: dict[str, Any]) -> dict[str, Any]:
    """Put one part into the JSON file, atomically, and give the whole document back. Parts measured before stay; each
    carries what it was measured on."""
    whole = read_results(path)
    whole["parts"][part] = {**document, "result": measured}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    return whole


def markdown(whole: dict[str, Any]) -> str:
    """Return the tables of the existing parts."""
    tables = {
        "A": _comparison,
        "B": _large,
        "C": _ingestion,
        "D": _where,
        "E": _large,
        "F": _steering,
        "G": _growth,
    }
    titles = {
        "A": "A request against a history, beside other ways",
        "B": "Large histories",
        "C": "Ingestion",
        "D": "Where the time goes",
        "E": "Large histories, int8 keys",
        "F": "Steering, distinct users in one batch",
        "G": "A conversation that grows",
    }
    lines = ["# Speed and memory", ""]
    ran: list[str] = []
    for part in sorted(whole["parts"]):
        entry = whole["parts"][part]
        lines += [f"## {part}. {titles[part]}", ""]
        if entry["quick"]:
            lines += ["A quick run, to see that it works: not a measurement.", ""]
        lines += [*tables[part](entry["result"]), ""]
        ran.append(f"- {part}: {_machine(entry)}")
    return "\n".join([*lines, "## Measured on", "", *ran, ""])


def _machine(entry: dict[str, Any]) -> str:
    machine = entry["machine"]
    versions = ", ".join(f"{name} {machine[name]}" for name in ("torch", "transformers", "numpy", "python"))
    flags = " ".join(machine["flags"])
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, {machine['memory_gib']} GiB "
        f"({flags}); {versions}; model {entry['model']}, {entry['dtype']}, calibration {entry['calibration']}; "
        f"revision {machine['revision']}; load before {entry['load_before']}; {entry['date']}; `{entry['command']}`"
    )


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    rule = ["---", *["---:"] * (len(header) - 1)]
    return ["| " + " | ".join(cells) + " |" for cells in (header, rule, *rows)]


def _comparison(result: dict[str, Any]) -> list[str]:
    lines = []
    for size in result["sizes"].values():
        rows = []
        for name, row in size["rows"].items():
            if "failed" in row:
                rows.append([name, row["failed"], "", "", ""])
                continue
            got = f"{row['ratio_got']:.1f}x of {row['ratio_asked']}x" if "ratio_got" in row else ""
            peak = f"{row['peak_above_weights'] / 1e6:,.0f}" if "peak_above_weights" in row else ""
            rows.append([name, _seconds(row["seconds"]), f"{row['tokens_fed']:,.0f}", peak, got])
        lines += [f"{size['history_tokens']:,} tokens of history:", ""]
        header = ["way", "seconds (median)", "tokens fed", "peak MB above weights", "compression got"]
        lines += [*_table(header, rows), ""]
    sizes = list(result["sizes"].items())
    names = sorted({name for _, size in sizes for name in size.get("ratios", {})})
    rows = []
    for name in names:
        target = result["targets"].get(name, {})
        cells = []
        for size, entry in sizes:
            aim = target.get(size) if isinstance(target, dict) else target
            value = entry.get("ratios", {}).get(name)
            cells.append("" if value is None else f"{value:,.1f}" + (f" (target {aim})" if aim else ""))
        rows.append([name, *cells])
    header = ["ratio", *[f"{int(size):,} tokens" for size, _ in sizes]]
    return [*lines, "How many times longer (best run of the other, median of ours):", "", *_table(header, rows)]


def _large(result: dict[str, Any]) -> list[str]:
    rows = []
    for size, modes in result["sizes"].items():
        for mode in ("mapped", "memory"):
            row = modes.get(mode, {"failed": "not measured"})
            if "failed" in row:
                rows.append([f"{int(size):,}, {mode}", row["failed"]] + [""] * 6)
                continue
            filled = row.get("peak_over_index_while_filled")
            rows.append(
                [
                    f"{row['history_tokens']:,}, {'memory-mapped' if mode == 'mapped' else 'in memory'}",
                    f"{_seconds(row['seconds'])} (target {result['targets']['seconds'][size]})",
                    _seconds(row["first_request"]),
                    _seconds(row["open"]) if "open" in row else "",
                    f"{row['index_bytes'] / 1e6:,.0f}",
                    f"{row['index_bytes_per_token']:.0f}",
                    f"{row['peak_over_index']:.2f} (target {result['targets']['memory_over_index']})",
                    f"{row['anonymous_over_index']:.2f}",
                    "" if filled is None else f"{filled:.2f}",
                ]
            )
    header = ["tokens", "seconds a request", "first", "open", "index MB", "bytes a token", "peak / index"]
    header += ["not mapped / index", "peak / index while filled"]
    return [*_table(header, rows), "", f"Note: {result['note']}."]


def _ingestion(result: dict[str, Any]) -> list[str]:
    rows = [
        [
            storage,
            f"{row['tokens_per_second']:,.0f}",
            f"{row['gflops']:,.0f}",
            f"{row['share_of_machine']:.0%} (aim {result['aim']:.0%})",
            f"{row['tokens_fed_per_token']:.2f}",
            f"{row['index_bytes_per_token']:.0f}",
        ]
        for storage, row in ((storage, result[storage]) for storage in ("native", "int8") if storage in result)
    ]
    header = ["keys", "tokens/s", "useful GFLOP/s", "share of the machine", "fed per token", "bytes a token"]
    machine = result["machine"]
    return [
        f"{result['tokens']:,} tokens in {result['records']} records; the machine's own {machine['dtype']} products "
        f"of the model's shapes reach {machine['gflops']:,.0f} GFLOP/s; a token needs "
        f"{result['flops_per_token']['total'] / 1e6:.0f} MFLOP (no padding, no prefix).",
        "",
        *_table(header, rows),
    ]


def _where(result: dict[str, Any]) -> list[str]:
    lines = []
    for name, profile in result.items():
        if "failed" in profile:
            lines += [f"{name}: {profile['failed']}", ""]
            continue
        per = profile["requests"]
        lines += [f"{name} (milliseconds{' a request' if per > 1 else ''}, under the profiler):", ""]
        rows = [
            [kind, f"`{entry['name']}`", f"{entry['calls'] / per:,.0f}", _milliseconds(entry, per), _share(entry)]
            for kind, shown in (("stages", 6), ("functions", 5), ("operators", 5))
            for entry in profile[kind][:shown]
        ]
        lines += [*_table(["view", "where", "calls", "ms", "share"], rows), ""]
    return lines


def _steering(result: dict[str, Any]) -> list[str]:
    rows = []
    for batch, entry in result["batches"].items():
        rates = [f"{entry['ways'][way]['tokens_per_second']:,.0f}" for way in ("none", "shared", "distinct")]
        aim = result["targets"]["distinct"].get(batch)
        rows.append(
            [
                batch,
                *rates,
                _spread(entry["distinct_over_shared"]) + (f" (target {aim})" if aim else ""),
                f"{_spread(entry['shared_over_none'])} (target {1 / (1 + result['targets']['overhead']):.2f})",
                _spread(entry["none_over_none"]),
                _milliseconds({"seconds": entry["seconds_to_enter"]}, 1),
                f"{entry['vector_bytes_per_user']:,}",
            ]
        )
    header = ["rows", "tokens/s: none", "one vector", "one each", "one each / one vector", "one vector / none"]
    header += ["none / none", "ms to begin", "bytes a user"]
    return [
        f"{result['steps']} tokens behind a prompt of {result['prompt_tokens']}, vectors at "
        f"{' and '.join(result['sites'])}; throughput over throughput, the median of paired rounds and their middle "
        "half. None / none: what the machine does by itself.",
        "",
        *_table(header, rows),
    ]


def _growth(result: dict[str, Any]) -> list[str]:
    figures: dict[str, tuple[str, Callable[[float], str]]] = {
        "tokens": ("tokens of the prompt", lambda value: f"{value:,.0f}"),
        "seconds": ("seconds to make it, one exchange being new", _seconds),
        "first_token": ("seconds from the prompt to the first token", _seconds),
    }
    rows = [
        [f"{name}: {title}", *(show(row[str(size)][key]) if str(size) in row else "" for size in result["exchanges"])]
        for key, (title, show) in figures.items()
        for name, row in result["rows"].items()
    ]
    header = ["exchanges before the question", *(f"{size:,}" for size in result["exchanges"])]
    return [f"Budget {result['budget']:,} tokens; the full conversation has the window's.", "", *_table(header, rows)]


def _spread(ratio: dict[str, float]) -> str:
    return f"{ratio['ratio']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}]"


def _seconds(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def _milliseconds(entry: dict[str, Any], per: int) -> str:
    return f"{1000 * entry['seconds'] / per:,.1f}"


def _share(entry: dict[str, Any]) -> str:
    return f"{entry['share']:.0%}"
