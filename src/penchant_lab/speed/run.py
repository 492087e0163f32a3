"""The speed benchmark: its parts, one after the other, into one document on disk."""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch

from penchant.errors import InputError
from penchant.extras import require
from penchant.hints import command
from penchant.models.model_name import ModelName
from penchant_lab.bench.provenance import machine, memory_bytes, own_revision, versions
from penchant_lab.bench.results import make_folder
from penchant_lab.peers.client import find_peers
from penchant_lab.reports.plots import growth as growth_plot
from penchant_lab.speed import comparison
from penchant_lab.speed.config import Save, Say, SpeedConfig, resources
from penchant_lab.speed.parts import DTYPES, PARTS
from penchant_lab.speed.report import is_done, markdown, merge, read_results

#: Share of the machine's memory that one measurement may use.
SHARE_OF_MEMORY = 0.75
PACKAGES = ("penchant", "torch", "transformers", "tokenizers", "numpy", "safetensors")


@dataclass(frozen=True)
class SpeedOptions:
    """out: folder of speed.json and speed.md. parts: keys of `PARTS`. threads: of torch, None for all cores.
    calibration: a file, or None for the model's own. memory: bytes that one measurement may take, None for 75 % of the
    machine. quick: few runs at small sizes. fresh: measure parts again that are there already. peers: the
    folder of other programs, None for the default one. command: as it is published, without folders. say: progress."""

    out: Path
    parts: Sequence[str] = tuple(PARTS)
    threads: int | None = None
    dtype: str = DTYPES[0]
    model: str = "smollm2"
    calibration: Path | None = None
    memory: int | None = None
    quick: bool = False
    fresh: bool = False
    peers: Path | None = None
    command: str = "penchant bench speed"
    say: Say = lambda text: None


def run_speed(options: SpeedOptions) -> dict[str, Any]:
    """Measure the requested parts and return the whole document: {"parts": {part: {..., "result"}}}.

    Each is saved as soon as there is something of it; a part that an earlier run with the same config finished is
    left as it is. Raises `InputError` or `ModelError` before the first measurement for options that can't be.
    """
    _check(options)
    threads = options.threads or os.cpu_count() or 1
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return _run(options, threads)
    finally:
        torch.set_num_threads(before)


def described(threads: int) -> dict[str, Any]:
    """Machine, versions and revision in one flat dictionary."""
    here, found, git = machine(), versions(), own_revision()
    name = "unknown" if git["revision"] is None else git["revision"][:12] + ("+" if git["changed"] else "")
    return {
        "cpu": here["cpu"],
        "cores": here["cores"],
        "threads": threads,
        "flags": here["flags"],
        "memory_gib": here["memory_gib"],
        "system": here["system"],
        "python": found["python"],
        **{package: found[package] for package in PACKAGES},
        "revision": name,
    }


def _run(options: SpeedOptions, threads: int) -> dict[str, Any]:
    memory = options.memory or int(SHARE_OF_MEMORY * (memory_bytes() or 0))
    config = SpeedConfig(
        threads, options.quick, options.calibration, memory, options.say, options.model, options.dtype, options.peers
    )
    loaded = config.load()
    document: dict[str, Any] = {
        "machine": described(threads),
        "model": loaded.name,
        "dtype": config.dtype,
        "calibration": resources(loaded, config.calibration).calibration.name,
        "quick": options.quick,
        "command": options.command,
    }
    if "A" in options.parts:
        comparison.sizes(config, loaded)  # a window that is too short is said now, not after other parts
    del loaded
    whole = read_results(options.out / "speed.json")
    for part in options.parts:
        if not options.fresh and is_done(whole, part, document):
            options.say(f"part {part} is there already")
            continue
        options.say(f"part {part}")
        now = {
            **document,
            "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
            "load_before": round(os.getloadavg()[0], 2),
        }

        latest: dict[str, Any] = {}

        def save(
            result: dict[str, Any], part: str = part, now: dict[str, Any] = now, latest: dict[str, Any] = latest
        ) -> None:
            latest["result"] = result
            _write(options.out, part, {**now, "complete": False}, result)

        measure: Callable[[SpeedConfig, Save], None] = resolve_name(PARTS[part])
        measure(config, save)
        whole = _write(options.out, part, {**now, "complete": True}, latest["result"])
    return whole


def _write(out: Path, part: str, entry: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    whole = merge(out / "speed.json", part, entry, result)
    (out / "speed.md").write_text(markdown(whole), encoding="utf-8")
    if part == "G":
        (out / "speed-growth.svg").write_text(growth_plot(result), encoding="utf-8")
    return whole


def _check(options: SpeedOptions) -> None:
    if unknown := [part for part in options.parts if part not in PARTS]:
        raise InputError(f"no part {unknown[0]!r}: expected some of {', '.join(PARTS)}")
    if options.dtype not in DTYPES:
        raise InputError(f"--dtype {options.dtype}: bench speed measures {' and '.join(DTYPES)}; expected one of them")
    name = ModelName.of(options.model)
    if name.device not in (None, "cpu"):
        raise InputError(f"--device {name.device}: bench speed measures on the CPU; leave it out")
    if name.adapter is not None and "A" in options.parts:
        raise InputError("--adapter: part A hands the model to programs that know no adapters; leave A out of --parts")
    if not sys.platform.startswith("linux"):
        raise InputError("the speed benchmark reads memory from /proc: expected Linux; run it there")
    if options.calibration is not None and not options.calibration.is_file():
        made = command("heads discover", **name.options, out=options.calibration)
        raise InputError(f"no calibration {options.calibration}: expected a file that {made} writes")
    if "A" in options.parts:
        find_peers(options.peers)
    if "G" in options.parts:
        require("matplotlib", extra="bench", why="part G")
    make_folder(options.out)
