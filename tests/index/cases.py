"""Encoders of tiny models, histories, and the dense computation that the index is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from penchant.history.records import History, Record, Segment
from penchant.index.attention import AttentionIndex
from penchant.index.encode import Encoder
from penchant.index.score import FloatArray
from penchant.lens.calibration import Calibration
from penchant.lens.lens import Lens, Wanted
from tests.families import tiny

HEADS = ((2, 3), (1, 0), (2, 2), (1, 3))
"""Of two layers, unsorted; on models with fewer key heads some share theirs."""
WEIGHTS = (1.0, 0.5, -0.3, 0.8)
REQUEST = "What should I read by the sea?"
WORDS = (
    "I am",
    "allergic to",
    "peanuts",
    "like",
    "long walks",
    "by the sea",
    "meeting",
    "Tuesday",
    "report",
    "film",
    "?",
)


@cache
def lens_of(family: str = "llama", dtype: torch.dtype = torch.float32, seed: int = 0) -> Lens:
    return Lens(tiny(family, seed, dtype))


def calibration_of(lens: Lens, **changes: object) -> Calibration:
    loaded = lens.loaded
    made = Calibration(
        loaded.name, loaded.fingerprint, HEADS, WEIGHTS, prefix="The notes: ", neutral=("What?", "Who is it?")
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def encoder_of(family: str = "llama", dtype: torch.dtype = torch.float32, **changes: object) -> Encoder:
    lens = lens_of(family, dtype)
    return Encoder(lens, calibration_of(lens, **changes))


def texts(count: int, seed: int = 0, longest: int = 12) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=rng.integers(1, longest + 1))) + f" {i}." for i in range(count)]


def history_of(bodies: Sequence[str], user: str = "ann", first: int = 0) -> History:
    return History([Record(text, id=f"r{first + i}") for i, text in enumerate(bodies)], user)


def whole(history: History) -> list[Segment]:
    return [Segment(i, record.id, 0, len(record.body), record.body) for i, record in enumerate(history)]


def scores(index: AttentionIndex, history: History, request: str = REQUEST) -> FloatArray:
    return index.score(history, whole(history), request)[0]


@contextmanager
def model_calls(lens: Lens) -> Iterator[list[int]]:
    """Number of tokens of every forward pass that runs meanwhile."""
    seen: list[int] = []
    handle = lens.loaded.base.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(int(kwargs["input_ids"].numel())), with_kwargs=True
    )
    try:
        yield seen
    finally:
        handle.remove()


def read_alone(encoder: Encoder, text: str, what: str) -> list[Tensor]:
    """Keys or queries of one text behind the prefix, every layer: no batches, no padding, no blocks."""
    loaded = encoder.lens.loaded
    prefix = loaded.tokenizer(encoder.calibration.prefix)["input_ids"]
    ids = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
    layers = frozenset(range(loaded.num_layers))
    reading = encoder.lens.read(torch.tensor([prefix + ids]), Wanted(**{what: layers}))
    return [getattr(reading, what)[layer][0, :, len(prefix) :] for layer in sorted(layers)]


def dense_scores(encoder: Encoder, history: History, segments: Sequence[Segment], request: str) -> FloatArray:
    """What `AttentionIndex.score` computes, by full logits in float64, loops, and nothing else."""
    loaded, made = encoder.lens.loaded, encoder.calibration
    group = loaded.num_heads // loaded.num_kv_heads
    keys = [read_alone(encoder, record.body, "keys") for record in history]
    offsets = [
        loaded.tokenizer(record.body, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        for record in history
    ]
    neutral = [read_alone(encoder, text, "queries") for text in made.neutral]
    asked = read_alone(encoder, request, "queries")
    total = np.zeros(len(segments))
    for weight, (layer, head) in zip(made.weights, made.heads, strict=True):
        mean = torch.cat([text[layer][head] for text in neutral]).mean(0, keepdim=True)
        rows = torch.cat([asked[layer][head], mean]).double()
        mass = np.zeros((len(rows), len(segments)))
        for j, segment in enumerate(segments):
            for token, (start, end) in enumerate(offsets[segment.record]):
                if end > segment.start and start < segment.end:
                    key = keys[segment.record][layer][head // group][token].double()
                    mass[:, j] += np.exp((rows @ key).numpy() * encoder.scaling)
        share = mass / mass.sum(axis=1, keepdims=True)
        score = np.log(share[:-1].mean(axis=0)) - made.baseline * np.log(share[-1])
        score = (score - score.mean()) / score.std()
        total += weight * np.where(score < 0, 0.1 * score, score)  # a tenth of what is below the mean
    return total.astype(np.float32)
