"""Part D: profiles of a request against 4k and 1M tokens, and of ingestion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penchant.history.records import Request
from penchant.history.segmentation import segment
from penchant.index.attention import AttentionIndex
from penchant.marking.registry import make_marker
from penchant_lab.speed.config import Save, SpeedConfig, resources
from penchant_lab.speed.histories import all_samples, of_tokens, sample_requests
from penchant_lab.speed.processes import alone
from penchant_lab.speed.profiling import functions, operators, stages

REQUEST = (
    "attention.py:sync",
    "encode.py:requests",
    "attention.py:_lay_out",
    "score.py:segment_log_mass",
    "score.py:_block_log_mass",
    "score.py:head_scores",
)
INGESTION = ("encode.py:_tokenize", "lens.py:read", "encode.py:_forward", "table.py:make_chunk", "table.py:record_key")


def measure(config: SpeedConfig, save: Save) -> None:
    """Save the three profiles."""
    loaded = config.load()
    tools = resources(loaded, config.calibration)
    history = of_tokens(loaded, 4096)
    segments = segment(history)
    marker = make_marker("attention", tools)
    requests = [Request(query) for query in sample_requests("ines")]

    def ask() -> None:
        for request in requests:
            marker(history, request, segments)

    ask()
    result: dict[str, Any] = {}
    config.say("profile of a request, 4,096 tokens")
    result["request, 4k tokens"] = profiled(ask, REQUEST, calls=len(requests))
    save(result)
    config.say("profile of ingestion")
    everyone = all_samples()
    encoder = tools.indexes.encoder
    result["ingestion"] = profiled(lambda: AttentionIndex(encoder).sync(everyone), INGESTION)
    save(result)
    size = 100_000 if config.quick else 1_000_000
    config.say(f"profile of a request, {size} tokens")
    payload = {**config.payload(), "tokens": size, "storage": "native", "mode": "profile", "directory": None}
    result[f"request, {size // 1000}k tokens"] = alone("large_worker", payload, config.threads)
    save(result)


def profiled(call: Callable[[], object], names: tuple[str, ...], calls: int = 1) -> dict[str, Any]:
    """The three views of a call that does `calls` requests."""
    return {
        "requests": calls,
        "stages": stages(call, names),
        "functions": functions(call),
        "operators": operators(call),
    }
