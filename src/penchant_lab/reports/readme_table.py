"""The results in README.md, made from the JSON files in benchmarks/results.

A result that is missing is left out, and so is a quick run. No number is typed by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

NOTHING = "No results are committed yet; `benchmarks/` holds what measures them."

#: The methods that are shown, by their markers, and their names in the tables.
SHOWN = {
    "fusion": "**Penchant** (default: attention + BM25 + MiniLM)",
    "attention": "**Penchant**, attention alone",
    "bm25+dense": "BM25 + MiniLM",
    "bm25": "BM25",
    "dense": "MiniLM",
    "sentinel": "Sentinel-style (all heads, fitted)",
    "attn-gs": "Attn-GS as published",
    "mem0": "mem0-style facts",
    "llmlingua": "LLMLingua",
    "longllmlingua": "LongLLMLingua",
    "snapkv": "SnapKV (kvpress)",
    "snapkv+question": "SnapKV that sees the question",
    "expected-attention": "ExpectedAttention (kvpress)",
    "surprisal": "surprisal",
    "recency": "most recent",
    "random": "random",
    "gold": "exactly the evidence",
    "full": "the full history, as far as the window reaches",
    "none": "no history",
}
WAYS = {
    "warm": "**Penchant**, history indexed",
    "cold": "**Penchant**, first request, indexing included",
    "sdpa_bf16": "one joint pass, attention not read",
    "eager_bf16": "joint pass with `output_attentions`, as published",
    "longllmlingua": "LongLLMLingua",
    "llmlingua": "LLMLingua",
}


def render(results: Path) -> str:
    """The Markdown of everything that was measured in full, in the order of the README."""
    parts = [part for name in (_quality, _gains, _answers, _speed) for part in name(results)]
    return "\n\n".join(parts) or NOTHING


def _read(path: Path) -> dict[str, Any] | None:
    document: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return document


def _quality(results: Path) -> Iterator[str]:
    document = _read(results / "mark-locomo-smollm2" / "results.json")
    if document is None:
        return
    cells = _shown(document, "recall")
    rows = [
        [
            SHOWN[kind],
            str(cell["items"]),
            _interval(cell["values"]["recall"]),
            f"{cell['values']['evidence_auc']['mean']:.3f}",
            _cost(cell["seconds"]["warm"]),
        ]
        for kind, cell in cells.items()
    ]
    yield (
        f"**Finding the evidence.** Questions about {document['task']['users']} LoCoMo conversations of about "
        f"{next(iter(cells.values()))['tokens']['history']:,.0f} tokens, none of which was used for tuning; model "
        f"{document['model']['name']}; 95 % intervals in brackets. Each rival was tried plain, smoothed over "
        "neighbours, and with weights fitted like ours; its best variant is shown. Seconds are of "
        f"{document['machine']['torch_threads']} thread on a machine with a load of {document['machine']['load']}."
    )
    budget = document["budgets"][0]
    yield _table(["marker", "questions", f"evidence kept in {budget} of the tokens", "AUC", "s per request"], rows)


def _gains(results: Path) -> Iterator[str]:
    document = _read(results / "compress-locomo-smollm2" / "results.json")
    if document is None:
        return
    cells = _shown(document, "loss")
    rows = []
    for kind, cell in cells.items():
        share = cell["share_of_gold"]
        rows.append(
            [
                SHOWN[kind],
                str(cell["items"]),
                f"{cell['prompt_tokens']:,.0f}",
                _interval(cell["gain"], "+") if cell["gain"] else "–",
                f"{share['mean']:.0%}" if share and share["mean"] is not None else "–",
            ]
        )
    yield (
        f"**Answering from it.** How much notes of {document['budgets'][0]} of the history help: the gain is how much "
        "likelier the true answer becomes than without any history, in nats per token."
    )
    yield _table(["what the prompt holds", "questions", "prompt tokens", "gain", "share of the evidence's gain"], rows)


def _shown(document: Mapping[str, Any], by: str) -> dict[str, Mapping[str, Any]]:
    """Of each kind of method, in the order of SHOWN, the variant that is best (highest recall, lowest loss). What was
    measured on too few items for an interval is left out."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for cell in document["summary"]["cells"]:
        if cell["values"].get(by) is not None and cell["values"][by]["low"] is not None:
            kinds.setdefault(_kind(cell["method"]), []).append(cell)
    sign = 1 if by == "recall" else -1
    return {k: max(kinds[k], key=lambda cell: sign * float(cell["values"][by]["mean"])) for k in SHOWN if k in kinds}


def _kind(spec: str) -> str:
    """ "bm25*0.45+dense*0.77~0.34/0.14" -> "bm25+dense"."""
    return "+".join(part.partition("*")[0] for part in spec.partition("~")[0].split("+"))


def _cost(seconds: float | None) -> str:
    return "–" if seconds is None else _seconds(seconds)


def _answers(results: Path) -> Iterator[str]:
    document = _read(results / "demo.json")
    if document is None:
        return
    totals = document["totals"]
    yield (
        f"**The demo.** {totals['right']} of {totals['factual']} factual answers are right with a profile "
        f"{totals['ratio']:.0f} times shorter than the history, {totals['right_without']} without. The requests are "
        "worded so that a model this small can copy the fact: the demo shows that every step works, not which marker "
        "is best."
    )


def _speed(results: Path) -> Iterator[str]:
    document = _read(results / "speed.json")
    parts = {} if document is None else {k: part for k, part in document["parts"].items() if not part["quick"]}
    if "A" in parts:
        sizes = parts["A"]["result"]["sizes"]
        rows = []
        for way, label in WAYS.items():
            cells = [_way(size, way) for size in sizes.values()]
            if any(cells):
                rows.append([label, *[cell or "–" for cell in cells]])
        yield (
            "**Speed.** Seconds per request; in brackets, how many times slower than an indexed history. "
            f"{_machine(parts['A'])}."
        )
        yield _table(["method", *[f"{size['history_tokens']:,} tokens" for size in sizes.values()]], rows)
    facts = [*_large(parts), *_ingestion(parts)]
    if facts:
        yield "\n".join(f"- {fact}" for fact in facts)


def _way(size: Mapping[str, Any], way: str) -> str | None:
    row = size["rows"].get(way, {})
    if "seconds" not in row:
        return None
    ratio = size.get("ratios", {}).get(f"{way} / warm")
    if ratio is None:
        return _seconds(row["seconds"])
    return f"{_seconds(row['seconds'])} ({ratio:,.0f}x)"


def _large(parts: Mapping[str, Any]) -> Iterator[str]:
    if "B" in parts:
        for modes in parts["B"]["result"]["sizes"].values():
            row = modes.get("mapped", {})
            if "seconds" in row:
                yield (
                    f"{row['history_tokens']:,} tokens of history: {_seconds(row['seconds'])} s per request, "
                    f"{row['index_bytes_per_token']:.0f} bytes of index per token; peak memory, without the weights, "
                    f"{row['peak_over_index']:.2f} times the index."
                )


def _ingestion(parts: Mapping[str, Any]) -> Iterator[str]:
    if "C" in parts:
        row = parts["C"]["result"]["native"]
        yield (
            f"Indexing: {row['tokens_per_second']:,.0f} tokens per second, {row['share_of_machine']:.0%} of the "
            "machine's own matrix throughput."
        )


def _machine(part: Mapping[str, Any]) -> str:
    machine = part["machine"]
    return f"{machine['cpu']}, {machine['threads']} threads, {part['model']} in {part['dtype']}, {part['date']}"


def _interval(value: Mapping[str, float], sign: str = "") -> str:
    return f"{value['mean']:{sign}.3f} [{value['low']:{sign}.3f}, {value['high']:{sign}.3f}]"


def _seconds(value: float) -> str:
    if value < 0.001:
        return "< 0.001"
    return f"{value:.3f}" if value < 1 else f"{value:.1f}"


def _table(header: list[str], rows: list[list[str]]) -> str:
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows))
