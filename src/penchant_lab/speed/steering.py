"""Part F: the cost of steering while a batch is decoded: no steering, one vector for all rows, one for each."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from penchant.inference.batching import Padded
from penchant.inference.cached_rows import CachedRows
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.runtime import Runtime
from penchant.inference.sites import Site, site_width
from penchant.models.loading import LoadedModel
from penchant_lab.speed.config import Save, SpeedConfig

TARGETS = {"distinct": {"64": 0.97, "256": 0.95}, "overhead": 0.03}
"""distinct: throughput with a vector for each row over that with one for all. overhead: time added by one for all."""
WAYS = ("none", "shared", "distinct", "none again")
"""none again: the same as none, to see what differences this machine makes by itself."""


@dataclass(frozen=True)
class _Sizes:
    batches: Sequence[int]
    prompt: int
    steps: int
    rounds: int


FULL, QUICK = _Sizes((64, 256), 64, 8, 24), _Sizes((2, 4), 8, 2, 2)


def measure(config: SpeedConfig, save: Save) -> None:
    """Save tokens per second of each way and their ratios, of rounds that take the ways in turn, batch after batch."""
    loaded = config.load()
    sizes = QUICK if config.quick else FULL
    layer = loaded.num_layers // 2
    sites = [Site(layer, "attention"), Site(layer, "mlp")]
    result: dict[str, Any] = {
        "sites": [str(site) for site in sites],
        "prompt_tokens": sizes.prompt,
        "steps": sizes.steps,
        "targets": TARGETS,
        "batches": {},
    }
    for batch in sizes.batches:
        config.say(f"decoding, {batch} rows")
        result["batches"][str(batch)] = _measured(loaded, sites, batch, sizes)
        save(result)


@torch.inference_mode()
def _measured(loaded: LoadedModel, sites: Sequence[Site], batch: int, sizes: _Sizes) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    vocabulary = loaded.model.config.get_text_config().vocab_size
    ids = torch.randint(vocabulary, (batch, sizes.prompt + sizes.steps), generator=generator)
    rows = CachedRows.empty(loaded, batch)
    _read(rows, ids[:, : sizes.prompt])
    restore = rows.checkpoint()
    shared, distinct = (_vectors(loaded, sites, rows, generator) for rows in (1, batch))
    interventions = {"none": None, "shared": shared, "distinct": distinct, "none again": None}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    entering: list[float] = []
    for turn in range(-1, sizes.rounds):  # the first one warms up
        for index in range(len(WAYS)):
            way = WAYS[(index + turn) % len(WAYS)]
            with _steered(loaded, sites, interventions[way], sizes.prompt) as entered:
                began = time.perf_counter()
                for step in range(sizes.prompt, sizes.prompt + sizes.steps):
                    _read(rows, ids[:, step : step + 1])
                passed = time.perf_counter() - began
            restore()
            if turn >= 0:
                seconds[way].append(passed)
                if way == "distinct":
                    entering.append(entered)
    tokens = batch * sizes.steps
    return {
        "rounds": sizes.rounds,
        "ways": {
            way: {"tokens_per_second": tokens / statistics.median(runs), "seconds": runs}
            for way, runs in seconds.items()
        },
        "distinct_over_shared": _paired(seconds["shared"], seconds["distinct"]),
        "shared_over_none": _paired(seconds["none"], seconds["shared"]),
        "distinct_over_none": _paired(seconds["none"], seconds["distinct"]),
        "none_over_none": _paired(seconds["none"], seconds["none again"]),
        "seconds_to_enter": statistics.median(entering),
        "vector_bytes": _bytes(loaded, distinct),
        "vector_bytes_per_user": _bytes(loaded, distinct) // batch,
    }


def _read(rows: CachedRows, ids: Tensor) -> None:
    rows.read(Padded(ids, torch.ones_like(ids, dtype=torch.bool)), last=ids.shape[1])


def _vectors(loaded: LoadedModel, sites: Sequence[Site], rows: int, generator: torch.Generator) -> Intervention:
    """Small ones: what they are made of takes no time, but a model that is thrown off may be faster or slower."""
    return Intervention(
        {
            site: Edit(0.01 * torch.randn(rows, site_width(loaded.model, site.kind, site.layer), generator=generator))
            for site in sites
        }
    )


@contextmanager
def _steered(
    loaded: LoadedModel, sites: Sequence[Site], intervention: Intervention | None, prompt: int
) -> Iterator[float]:
    """Gives the seconds that entering took. Without an intervention there are no hooks at all."""
    if intervention is None:
        yield 0.0
        return
    with Runtime(loaded.model, sites) as runtime:
        began = time.perf_counter()
        with runtime.steering(intervention, [prompt] * intervention.rows):
            yield time.perf_counter() - began


def _paired(before: Sequence[float], after: Sequence[float]) -> dict[str, float]:
    """Throughput of `after` over that of `before`, run by run: the median and the middle half of the rounds."""
    ratios = sorted(one / other for one, other in zip(before, after, strict=True))
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return {"ratio": middle, "low": low, "high": high}


def _bytes(loaded: LoadedModel, intervention: Intervention) -> int:
    """As they lie on the model's device, in its dtype."""
    size = torch.empty((), dtype=loaded.dtype).element_size()
    return size * sum(edit.add.numel() for edit in intervention.edits.values() if edit.add is not None)
