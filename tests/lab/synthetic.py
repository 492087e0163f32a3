"""A results document as a bench would write it, drawn at random: twelve methods on 600 items of 60 users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from penchant_lab.bench.columns import to_columns
from penchant_lab.bench.rows import Row
from penchant_lab.bench.summary import summarise

# name: (gain in nats at the largest budget, recall, seconds cold, warm, tokens fed cold)
METHODS = {
    "none": (0.0, None, 0.0, 0.0, 0),
    "full": (-0.16, 1.0, 0.0, 0.0, 0),
    "gold": (1.88, 1.0, 0.0, 0.0, 0),
    "recent": (0.12, 0.03, 2e-4, 2e-4, 0),
    "random": (0.1, 0.02, 2e-4, 2e-4, 0),
    "bm25": (1.05, 0.45, 0.03, 0.004, 0),
    "dense": (1.1, 0.47, 6.0, 0.05, 20_000),
    "surprisal": (0.3, 0.1, 30.0, 30.0, 20_000),
    "attn-gs": (0.5, 0.2, 45.0, 44.0, 21_000),
    "attention": (1.28, 0.55, 20.0, 0.06, 20_500),
    "fusion": (1.4, 0.62, 20.1, 0.08, 20_500),
    "rewriting": (0.9, None, 26.0, 6.0, 21_200),
}
BUDGETS = {"1%": 200, "2%": 400, "5%": 1000}


def rows(items: int = 600, users: int = 60, seed: int = 0, methods: Sequence[str] = tuple(METHODS)) -> list[Row]:
    """Losses and F1 of items go up and down together over methods; rewriting is measured on a third of them."""
    rng = np.random.default_rng(seed)
    hard, taste = rng.gamma(9, 0.4, items), rng.normal(0, 0.2, users)
    found = []
    for name in methods:
        gain, recall, cold, warm, fed = METHODS[name]
        budgeted = name not in ("none", "full", "gold")
        for asked, budget in BUDGETS.items() if budgeted else [("", None)]:
            share = 1.0 if budget is None else {200: 0.72, 400: 0.9, 1000: 1.0}[budget]
            for at in range(0, items, 3 if name == "rewriting" else 1):
                user = at * users // items
                first = at == 0 or (at - 1) * users // items != user
                got = {"none": 0, "full": 7500, "gold": 45}.get(name, int((budget or 0) * rng.uniform(0.93, 1)))
                helped = gain * share + taste[user] * (gain != 0) + rng.normal(0, 0.6) * (gain != 0)
                right = float(np.clip(0.06 + 0.16 * gain * share + rng.normal(0, 0.2), 0, 1))
                hits = None if recall is None or name == "none" else float(rng.random() < recall * share)
                row = Row(name, f"u{user}/{at}", f"u{user}", 0, asked, str(1 + at % 4), budget, got, 20_000)
                found.append(
                    replace(
                        row,
                        kept=0.37 if name == "full" else None,
                        prompt_tokens=got + 60,
                        tokens_fed=fed if first else min(fed, 15),
                        seconds=(cold if first else warm) * rng.uniform(0.8, 1.3),
                        cold=first,
                        answer_seconds=0.1 + got / 5000,
                        loss=float(hard[at] - helped),
                        metrics={"f1": right},
                        recall=hits,
                        precision=None if hits is None else hits / 5,
                        fallback=name == "rewriting" and rng.random() < 0.2,
                    )
                )
    return found


def document(measured: Sequence[Row], metrics: Sequence[str] = ("f1",)) -> dict[str, Any]:
    """As `penchant bench` writes it, with names that a page must escape."""
    return {
        "benchmark": "compress",
        "command": "penchant bench compress --task locomo --data 'data/<locomo>' --budgets 1%,2%,5% --out out",
        "seeds": [0],
        "part": "test",
        "limit": None,
        "git": {"revision": "0123456789abcdef0123456789abcdef01234567", "changed": True},
        "versions": {"python": "3.11.9", "penchant": "0.1.0", "torch": "2.13.0", "bm25s": None},
        "machine": {"cpu": "Some CPU", "cores": 2, "torch_threads": 2, "memory_gib": 15.6, "load": 0.4, "gpu": None},
        "model": {
            "name": "SmolLM2-135M-Instruct",
            "fingerprint": "0a1b2c3d4e5f",
            "device": "cpu",
            "dtype": "float32",
            "window": 8192,
            "calibration": "smollm2-135m",
        },
        "task": {
            "name": "locomo",
            "about": "LoCoMo: questions over very long conversations, with their evidence",
            "metrics": list(metrics),
            "items": len({row.item for row in measured}),
            "users": len({row.user for row in measured}),
            "data": "locomo.json",
        },
        "budgets": list(BUDGETS),
        "methods": [
            {
                "name": name,
                "about": f"what {name} is & does",
                "peak_bytes": 2**30 + at * 2**26,
                "stored_bytes": at * 2**20,
            }
            for at, name in enumerate(dict.fromkeys(row.method for row in measured))
        ],
        "items": [{"id": row.item, "user": row.user} for row in measured[:3]],
        "rows": to_columns(measured),
        "summary": summarise(measured, metrics, rounds=1000),
        "notes": ["The first <note> of the run."],
    }
