"""Part A: a request against 2k, 4k and 8k tokens of history, compared with the published method and LLMLingua."""

from __future__ import annotations

from typing import Any

import torch

from penchant.errors import InputError
from penchant.history.records import History, Request
from penchant.history.segmentation import segment
from penchant.marking.attention import attention
from penchant.marking.attn_gs import attn_gs
from penchant.marking.marks import Marks
from penchant.marking.registry import make_marker
from penchant.marking.resources import Resources
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import opening_ids
from penchant_lab.speed.config import Save, SpeedConfig, fresh_pool, model_directory, resources
from penchant_lab.speed.eager import attention_bytes
from penchant_lab.speed.histories import of_tokens, sample_requests
from penchant_lab.speed.llmlingua import INSTALL, llmlingua
from penchant_lab.speed.measure import counting, repeated, summary
from penchant_lab.speed.processes import alone

#: The last one leaves room for the request in the embedded model's window of 8,192.
SIZES = (2048, 4096, 8000)
ROOM = 100
RATIO = 50
TARGETS = {
    "eager_bf16 / warm": {"2048": 300, "4096": 1000},
    "eager_bf16 / cold": {"2048": 12, "4096": 20},
    "llmlingua / cold": 5,
    "longllmlingua / cold": 5,
    "llmlingua / warm": 200,
    "longllmlingua / warm": 200,
}


def measure(config: SpeedConfig, save: Save) -> None:
    """Save a table per size: seconds, tokens fed, ratios."""
    loaded = config.load()
    requests = [Request(query) for query in sample_requests("ines")]
    result: dict[str, Any] = {"sizes": {}, "targets": TARGETS}
    with model_directory(loaded) as directory:
        tools = resources(loaded, config.calibration)
        for size in sizes(config, loaded):
            history = of_tokens(loaded, size)
            rows = _ours(config, loaded, tools, history, requests)
            result["sizes"][str(size)] = {"history_tokens": rows["warm"]["history_tokens"], "rows": rows}
            rows |= _joint(config, loaded, history, requests[0], str(directory))
            rows |= _peers(config, history, requests[0], rows["warm"]["history_tokens"], str(directory))
            result["sizes"][str(size)]["ratios"] = _ratios(rows)
            save(result)


def sizes(config: SpeedConfig, loaded: LoadedModel) -> tuple[int, ...]:
    """The sizes that fit the model's window together with a request, the smallest alone for a quick run.

    Raises `InputError` when none does."""
    fitting = tuple(size for size in SIZES if size + ROOM <= loaded.window)
    if not fitting:
        raise InputError(
            f"part A needs a window of {SIZES[0] + ROOM} tokens, and {loaded.name} has {loaded.window}: leave A out"
        )
    return fitting[:1] if config.quick else fitting


def _ours(
    config: SpeedConfig, loaded: LoadedModel, tools: Resources, history: History, requests: list[Request]
) -> dict[str, dict[str, Any]]:
    segments = segment(history)
    config.say(f"warm and cold, {len(history)} records")
    marker = make_marker("attention", tools)
    marks: list[Marks] = []

    def warm(number: int) -> None:
        marks.append(marker(history, requests[number % len(requests)], segments))

    repeated(warm, len(requests))
    runs = len(requests) if config.quick else 10 * len(requests)
    with counting(loaded.model) as fed:
        seconds = repeated(warm, runs)
    rows = {
        "warm": {
            **summary(seconds),
            "tokens_fed": fed.tokens / runs,
            "history_tokens": marks[-1].history_tokens,
            "layers_run": marks[-1].layers_run,
        }
    }

    def cold(number: int) -> None:
        # The encoder is kept: it holds the loaded model and the neutral queries, which are computed once.
        attention(fresh_pool(tools.indexes.encoder))(history, requests[number % len(requests)], segments)

    def first(number: int) -> None:
        attention(resources(loaded, config.calibration).indexes)(history, requests[number % len(requests)], segments)

    for name, call in (("cold", cold), ("cold, neutral requests included", first)):
        call(0)
        runs = 1 if config.quick else 5
        with counting(loaded.model) as fed:
            seconds = repeated(call, runs)
        rows[name] = {**summary(seconds), "tokens_fed": fed.tokens / runs}
    published = attn_gs(tools.lens)
    with counting(loaded.model) as fed:
        seconds = repeated(lambda number: published(history, requests[0], segments), 1 if config.quick else 3)
    rows["published readout through the lens"] = {**summary(seconds), "tokens_fed": fed.tokens / len(seconds)}
    return rows


def _joint(
    config: SpeedConfig, loaded: LoadedModel, history: History, request: Request, directory: str
) -> dict[str, dict[str, Any]]:
    text = "".join(f"{record.body}\n" for record in history) + request.query
    ids = opening_ids(loaded, text)
    rows = {}
    ways = (("sdpa_bf16", False, "bfloat16"), ("eager_bf16", True, "bfloat16"), ("eager_fp32", True, "float32"))
    for name, eager, dtype in ways:
        kept = attention_bytes(loaded.num_layers, loaded.num_heads, len(ids), getattr(torch, dtype))
        # In addition, a layer's logits, softmax and a copy exist at the same time.
        needed = kept + 4 * attention_bytes(1, loaded.num_heads, len(ids), torch.float32) if eager else 0
        if needed > config.memory:
            why = f"not measured: {needed / 1e9:.0f} GB of attention, limit {config.memory / 1e9:.0f} GB"
            rows[name] = {"failed": why, "attention_bytes": kept}
            continue
        config.say(f"{name}, {len(ids)} tokens")
        runs = 1 if config.quick else (3 if not eager else 2)
        payload = {"model": directory, "dtype": dtype, "ids": ids, "eager": eager, "runs": runs}
        rows[name] = alone("eager", payload, config.threads)
        if eager:
            rows[name]["attention_bytes"] = kept
    return rows


def _peers(
    config: SpeedConfig, history: History, request: Request, tokens: int, directory: str
) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for name, long in (("llmlingua", False), ("longllmlingua", True)):
        config.say(f"{name}, {tokens} tokens")
        payload = {
            "model": directory,
            "dtype": config.dtype,
            "threads": config.threads,
            "passages": [record.body for record in history],
            "request": request.query,
            "history_tokens": tokens,
            "ratio": RATIO,
            "long": long,
            "runs": 1 if config.quick else 2,
        }
        row = llmlingua(payload, config.peers)
        if row is None:
            return {"llmlingua": {"failed": f"not installed: run `{INSTALL}`"}}
        rows[name] = row
    return rows


def _ratios(rows: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return how many times longer others take: the median of Penchant's runs, and the best run of others, which
    favours them.
    """
    return {
        f"{other} / {ours}": rows[other]["best"] / rows[ours]["seconds"]
        for other in ("eager_bf16", "eager_fp32", "sdpa_bf16", "llmlingua", "longllmlingua")
        for ours in ("warm", "cold")
        if "best" in rows.get(other, {})
    }
