"""One measurement on a large index, in a separate process (see `large`)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from penchant.history.records import History, Request
from penchant.history.segmentation import segment
from penchant.index.attention import AttentionIndex
from penchant.index.chunk_list import in_parts
from penchant.index.encode import EncodedRecord
from penchant.index.pool import IndexPool
from penchant.index.table import make_chunk, record_key
from penchant.marking.attention import attention
from penchant.marking.resources import Resources
from penchant.models.loading import load_model
from penchant.models.model_name import ModelName
from penchant_lab.speed.config import resources
from penchant_lab.speed.histories import USERS, all_samples, copies, sample_requests
from penchant_lab.speed.measure import forget_peak, repeated, resident, summary
from penchant_lab.speed.processes import answering
from penchant_lab.speed.where import REQUEST, profiled

REQUESTS = [Request(query) for user in USERS for query in sample_requests(user)]


def large_history(tokens: int, sizes: list[int], history: History) -> History:
    """The samples, as often as `tokens` asks."""
    repeats = -(-tokens // sum(sizes))
    records = [record for copy in copies(history, repeats) for record in copy]
    used, chosen = 0, []
    for record, size in zip(records, sizes * repeats, strict=True):
        if used >= tokens:
            break
        used += size
        chosen.append(record)
    return History(chosen, user="large")


def grow(index: AttentionIndex, history: History, encoded: list[EncodedRecord]) -> None:
    """Fill an index as `sync` does, chunk by chunk and merging as it merges, with keys that are there already."""
    records = list(history)
    for part in in_parts(range(len(records))):
        chunk = make_chunk([(record_key(records[i]), encoded[i % len(encoded)]) for i in part], index.storage)
        index._stored.append(chunk)  # there is no public way to insert keys that weren't just encoded


def work(payload: dict[str, Any]) -> dict[str, Any]:
    """payload: model, dtype, calibration, tokens, storage, directory, runs, and mode.

    mode: "write" the index to disk; "mapped": requests against it as it lies there; "memory": fill an index in
    memory, then requests against it; "profile": the same, and where the time of a request goes.
    """
    loaded = load_model(ModelName(**payload["model"]), device="cpu", dtype=payload["dtype"])
    tools = resources(loaded, payload["calibration"], payload["storage"])
    samples = all_samples()
    sizes, encoded = _encoded(tools, samples, keep=payload["mode"] != "mapped")
    history = large_history(payload["tokens"], sizes, samples)
    segments = segment(history)
    # One small request first: what the model needs to run isn't the index's memory.
    small = History(list(samples)[:20])
    attention(tools.indexes)(small, REQUESTS[0], segment(small))
    directory = Path(payload["directory"]) if payload["directory"] else None
    pool = IndexPool(tools.indexes.encoder, lambda user: directory, storage=payload["storage"])
    before = resident()
    forget_peak()
    began = time.perf_counter()
    out: dict[str, Any] = {"history_tokens": payload["tokens"], "records": len(history), "segments": len(segments)}
    if payload["mode"] == "mapped":
        index, change = pool.open(history)
        if change.tokens_encoded or change.records_dropped:
            raise RuntimeError(f"the index on disk isn't that of the history: {change}")
        out["open"] = time.perf_counter() - began
    else:
        index = AttentionIndex(tools.indexes.encoder, directory, payload["storage"])
        grow(index, history, encoded)
        pool._open[f"user:{history.user}"] = index  # as if the pool had synced it
        out["filled"] = time.perf_counter() - began
        out["peak_over_index_while_filled"] = (resident().peak - before.now) / index.nbytes
    out |= {
        "history_tokens": index.tokens,
        "index_bytes": index.nbytes,
        "index_bytes_per_token": index.nbytes / index.tokens,
    }
    marker = attention(pool)
    if payload["mode"] == "profile":
        return profiled(lambda: marker(history, REQUESTS[1], segments), REQUEST)
    if payload["mode"] == "write":
        return out
    forget_peak()
    first = repeated(lambda number: marker(history, REQUESTS[0], segments), 1)
    later = repeated(lambda number: marker(history, REQUESTS[number % len(REQUESTS)], segments), payload["runs"])
    after = resident()
    return {
        **out,
        **summary(later),
        "first_request": first[0],
        "peak_above_weights": after.peak - before.now,
        "peak_over_index": (after.peak - before.now) / index.nbytes,
        "anonymous_over_index": (after.anonymous - before.anonymous) / index.nbytes,
    }


def _encoded(tools: Resources, samples: History, *, keep: bool) -> tuple[list[int], list[EncodedRecord]]:
    bodies = [record.body for record in samples]
    if not keep:
        ids = tools.loaded.tokenizer(bodies, add_special_tokens=False)["input_ids"]
        return [len(tokens) for tokens in ids], []
    found = dict(tools.indexes.encoder.records(bodies))
    encoded = [found[i] for i in range(len(bodies))]
    return [len(record.spans) for record in encoded], encoded


if __name__ == "__main__":
    answering(work)
