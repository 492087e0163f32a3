"""The results in the README are those of the committed files."""

import json
from pathlib import Path

import pytest

from benchmarks.readme_table import BEGIN, END, NOTHING, fill, main, render

MACHINE = {"cpu": "A Processor", "threads": 2}
PART = {"quick": False, "machine": MACHINE, "model": "smollm2", "dtype": "bfloat16", "date": "2026-11-23"}


def _figure(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.05, "high": mean + 0.05}


def _marker(recall: float, seconds: float | None = 0.05) -> dict[str, object]:
    costs = {"seconds": seconds, "tokens_fed": 20}
    return {"questions": 10, "recall_at_budget": _figure(recall), "auc": _figure(0.9), "cold": costs, "warm": costs}


def _write(folder: Path, name: str, document: object) -> None:
    (folder / name).write_text(json.dumps(document), encoding="utf-8")


def _marking(folder: Path) -> None:
    markers = {
        "bm25": _marker(0.5),
        "bm25~0.2": _marker(0.6),
        "bm25*0.4+dense*0.7~0.3/0.1": _marker(0.65),
        "attention": _marker(0.66),
        "attn-gs": _marker(0.05, None),
    }
    histories = {"a": {"tokens": 30000}, "b": {"tokens": 34000}}
    _write(
        folder,
        "marking.json",
        {
            "markers": markers,
            "histories": histories,
            "share": 0.02,
            "model": {"name": "smollm2"},
            "machine": {"torch_threads": 1, "load": 2.9},
            "differences": [
                {"of": ["attention", "bm25"], "recall_at_budget": _figure(0.16)},
                {"of": ["attention", "bm25~0.2"], "recall_at_budget": _figure(0.06)},
                {"of": ["attention", "attn-gs"], "recall_at_budget": None},
            ],
        },
    )


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


def test_the_readme_says_what_was_measured() -> None:
    assert main(["--check"]) == 0, "run python -m benchmarks.readme_table"


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
    assert "2 conversations of 32,000 tokens" in render(tmp_path)
    # Of the rival that is shown, not of its weaker variant, and none that wasn't measured.
    assert "same questions: attention alone − BM25 +0.060 [+0.010, +0.110]." in render(tmp_path)


def test_speed(tmp_path: Path) -> None:
    _speed(tmp_path, quick=False)
    text = render(tmp_path)
    assert "| joint pass with `output_attentions`, as published | 50.0 (1,000x) |" in text
    assert "| **Penchant**, history indexed | 0.050 |" in text
    assert "LLMLingua" not in text  # it failed: no line, no number
    assert "- 100,015 tokens of history: 0.100 s a request, 776 bytes" in text
    assert "- Indexing: 3,073 tokens a second, 25% of" in text
    assert "A Processor, 2 threads, smollm2 in bfloat16, 2026-11-23" in text


def test_a_quick_run_is_no_result(tmp_path: Path) -> None:
    _speed(tmp_path, quick=True)
    assert render(tmp_path) == NOTHING


def test_the_demo(tmp_path: Path) -> None:
    _write(tmp_path, "demo.json", {"totals": {"right": 14, "factual": 16, "right_without": 0, "ratio": 50.4}})
    assert "14 of 16 factual answers are right with a profile 50 times shorter" in render(tmp_path)


def test_only_what_stands_between_the_comments_changes(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    given = ["--results", str(tmp_path), "--readme", str(readme)]
    assert main([*given, "--check"]) == 1
    assert main(given) == 0
    assert readme.read_text(encoding="utf-8") == f"before\n{BEGIN}\n{NOTHING}\n{END}\nafter\n"
    assert main([*given, "--check"]) == 0


def test_a_readme_without_the_comments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="results:begin"):
        fill("nothing here", tmp_path)
