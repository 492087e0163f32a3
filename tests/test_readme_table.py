"""The tables of the README, made from files of results."""

import json
from pathlib import Path

from penchant_lab.reports.readme_table import NOTHING, render

MACHINE = {"cpu": "A Processor", "threads": 2}
PART = {"quick": False, "machine": MACHINE, "model": "smollm2", "dtype": "bfloat16", "date": "2026-11-23"}


def _figure(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.05, "high": mean + 0.05}


def _write(folder: Path, name: str, document: object) -> None:
    (folder / name).write_text(json.dumps(document), encoding="utf-8")


def _bench(folder: Path, name: str, cells: list[dict[str, object]]) -> None:
    document = {
        "summary": {"cells": cells},
        "budgets": ["2%"],
        "model": {"name": "smollm2"},
        "task": {"users": 2},
        "machine": {"torch_threads": 1, "load": 2.9},
    }
    (folder / name).mkdir()
    _write(folder / name, "results.json", document)


def _marker(name: str, recall: float, seconds: float | None = 0.05) -> dict[str, object]:
    values = {"recall": _figure(recall), "evidence_auc": _figure(0.9)}
    return {"method": name, "items": 10, "values": values, "seconds": {"warm": seconds}, "tokens": {"history": 32000}}


def _marking(folder: Path) -> None:
    cells = [
        _marker("bm25", 0.5),
        _marker("bm25~0.2", 0.6),
        _marker("bm25*0.4+dense*0.7~0.3/0.1", 0.65),
        _marker("attention", 0.66),
        _marker("attn-gs", 0.05, None),
    ]
    _bench(folder, "mark-locomo-smollm2", cells)


def _speed(folder: Path, *, quick: bool) -> None:
    rows = {"warm": {"seconds": 0.05}, "cold": {"seconds": 2.0}, "eager_bf16": {"seconds": 50.0}}
    rows |= {"llmlingua": {"failed": "not installed"}}
    size = {"history_tokens": 4090, "rows": rows, "ratios": {"eager_bf16 / warm": 1000.0}}
    mapped = {"history_tokens": 100015, "seconds": 0.1, "index_bytes_per_token": 776.0, "peak_over_index": 1.1}
    native = {"tokens_per_second": 3073.2, "share_of_machine": 0.25}
    parts = {
        "A": {**PART, "quick": quick, "result": {"sizes": {"4096": size}}},
        "B": {**PART, "quick": quick, "result": {"sizes": {"100000": {"mapped": mapped}}}},
        "C": {**PART, "quick": quick, "result": {"native": native}},
    }
    _write(folder, "speed.json", {"parts": parts})


def test_nothing_measured(tmp_path: Path) -> None:
    assert render(tmp_path) == NOTHING


def test_markers_and_the_best_variant_of_each_rival(tmp_path: Path) -> None:
    _marking(tmp_path)
    lines = [line for line in render(tmp_path).splitlines() if line.startswith("| ")]
    assert lines[0].startswith("| marker | questions | evidence kept in 2% of the tokens |")
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| **Penchant**, attention alone",
        "| BM25 + MiniLM",
        "| BM25",
        "| Attn-GS as published",
    ]
    assert "0.600 [0.550, 0.650]" in lines[4]
    assert lines[5].endswith("| – |")
    assert "2 LoCoMo conversations of about 32,000 tokens" in render(tmp_path)
    assert "Seconds are of 1 thread on a machine with a load of 2.9." in render(tmp_path)


def test_what_notes_are_worth(tmp_path: Path) -> None:
    def cell(name: str, loss: float, gain: float | None, share: float | None) -> dict[str, object]:
        values = {"loss": _figure(loss)}
        found = {"gain": None if gain is None else _figure(gain), "share_of_gold": {"mean": share}}
        return {"method": name, "items": 10, "values": values, "prompt_tokens": 1234.4, **found}

    cells = [
        cell("none", 5.0, None, None),
        cell("gold", 3.0, 2.0, None),
        cell("bm25", 4.0, 1.0, 0.5),
        cell("bm25~0.2", 3.8, 1.2, 0.6),
        {**cell("dense", 4.2, 0.8, 0.4), "values": {"loss": {"mean": 4.2, "low": None, "high": None}}},  # of 3 items
        cell("fusion", 3.5, 1.5, 0.75),
    ]
    _bench(tmp_path, "compress-locomo-smollm2", cells)
    lines = [line for line in render(tmp_path).splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| **Penchant** (default: attention + BM25 + MiniLM)",
        "| BM25",
        "| exactly the evidence",
        "| no history",
    ]
    assert lines[2].endswith("| 10 | 1,234 | +1.500 [+1.450, +1.550] | 75% |")
    assert lines[3].endswith("| +1.200 [+1.150, +1.250] | 60% |")  # the better variant
    assert lines[5].endswith("| – | – |")


def test_speed(tmp_path: Path) -> None:
    _speed(tmp_path, quick=False)
    text = render(tmp_path)
    assert "| joint pass with `output_attentions`, as published | 50.0 (1,000x) |" in text
    assert "| **Penchant**, history indexed | 0.050 |" in text
    assert "LLMLingua" not in text  # it failed: no line, no number
    assert "- 100,015 tokens of history: 0.100 s per request, 776 bytes" in text
    assert "- Indexing: 3,073 tokens per second, 25% of" in text
    assert "A Processor, 2 threads, smollm2 in bfloat16, 2026-11-23" in text


def test_a_quick_run_is_no_result(tmp_path: Path) -> None:
    _speed(tmp_path, quick=True)
    assert render(tmp_path) == NOTHING


def test_the_demo(tmp_path: Path) -> None:
    _write(tmp_path, "demo.json", {"totals": {"right": 14, "factual": 16, "right_without": 0, "ratio": 50.4}})
    assert "14 of 16 factual answers are right with a profile 50 times shorter" in render(tmp_path)
