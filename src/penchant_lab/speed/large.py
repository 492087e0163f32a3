"""Parts B and E: a request against 100k and 1M tokens of history; memory against the size of the index; int8."""

from __future__ import annotations

import tempfile
from typing import Any

from penchant_lab.speed.config import Save, SpeedConfig
from penchant_lab.speed.processes import alone

SIZES = (100_000, 1_000_000)
SECONDS = {"100000": 0.3, "1000000": 1.0}
MEMORY = 1.2
NOTE = (
    "the keys are those of the sample histories, encoded once and stored again under other ids and times until the "
    "size is reached: what a request costs doesn't depend on what the keys are"
)


def measure(config: SpeedConfig, save: Save) -> None:
    """Part B: keys in the model's dtype."""
    _measure(config, save, "native")


def measure_int8(config: SpeedConfig, save: Save) -> None:
    """Part E: the same, with int8 keys."""
    _measure(config, save, "int8")


def _measure(config: SpeedConfig, save: Save, storage: str) -> None:
    result: dict[str, Any] = {"note": NOTE, "targets": {"seconds": SECONDS, "memory_over_index": MEMORY}, "sizes": {}}
    for size in SIZES[:1] if config.quick else SIZES:
        rows: dict[str, Any] = {}
        result["sizes"][str(size)] = rows
        with tempfile.TemporaryDirectory(prefix="penchant-bench-") as directory:
            payload = {**config.payload(), "tokens": size, "storage": storage, "directory": directory}
            payload["runs"] = 5 if config.quick else 24
            config.say(f"writing an index of {size} tokens, {storage}")
            rows["written"] = alone("large_worker", {**payload, "mode": "write"}, config.threads)
            if "failed" in rows["written"]:
                save(result)
                continue
            for mode in ("mapped", "memory"):
                config.say(f"requests against {size} tokens, {storage}, {mode}")
                where = directory if mode == "mapped" else None
                work = {**payload, "mode": mode, "directory": where}
                rows[mode] = alone("large_worker", work, config.threads)
        save(result)
