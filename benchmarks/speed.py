"""Speed and memory of marking: `python -m benchmarks.speed`. See benchmarks/README.md."""

from __future__ import annotations

import argparse
import datetime
import logging
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.machine import describe
from benchmarks.machine import memory as machine_memory
from benchmarks.parts import comparison, ingestion, large, where
from benchmarks.parts.setting import Save, Setting, toolbox
from benchmarks.results import markdown, merge

PARTS: dict[str, Callable[[Setting, Save], None]] = {
    "A": comparison.measure,
    "B": large.measure,
    "C": ingestion.measure,
    "D": where.measure,
    "E": large.measure_int8,
}
#: Of the machine's memory, what one measurement may take.
SHARE_OF_MEMORY = 0.75


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help="which of A,B,C,D,E, with commas (default: all)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder of the results")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of torch (default: all cores)")
    parser.add_argument("--quick", action="store_true", help="few runs, small sizes: to see that everything works")
    parser.add_argument("--calibration", type=Path, help="a calibration file (default: the model's own)")
    parser.add_argument("--memory-gb", type=float, help="what one measurement may take (default: 75 %% of the machine)")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    parsed = parser.parse_args(arguments)
    parsed.parts = [part.strip().upper() for part in parsed.parts.split(",")]
    if unknown := [part for part in parsed.parts if part not in PARTS]:
        parser.error(f"no part {unknown[0]!r}: expected some of {', '.join(PARTS)}")
    return parsed


def main(arguments: list[str]) -> None:
    """Measure the parts asked for; each is saved as soon as there is something of it."""
    options = parse(arguments)
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    torch.set_num_threads(options.threads)
    console = Console(stderr=True)
    memory = options.memory_gb * 1e9 if options.memory_gb else SHARE_OF_MEMORY * machine_memory()

    def say(text: str) -> None:
        console.print(f"[dim]{datetime.datetime.now():%H:%M:%S}[/dim] {text}")

    setting = Setting(options.threads, options.quick, options.calibration, int(memory), say, dtype=options.dtype)
    document: dict[str, Any] = {
        "machine": describe(options.threads),
        "model": setting.model,
        "dtype": setting.dtype,
        "calibration": toolbox(setting.load(), setting.calibration).calibration.name,
        "quick": options.quick,
        "command": "python -m benchmarks.speed " + shlex.join(_without_folders(arguments)),
    }
    for part in options.parts:
        now = {
            **document,
            "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
            "load_before": round(os.getloadavg()[0], 2),
        }

        def save(result: dict[str, Any], part: str = part, now: dict[str, Any] = now) -> None:
            whole = merge(options.out / "speed.json", part, now, result)
            (options.out / "speed.md").write_text(markdown(whole), encoding="utf-8")

        console.rule(f"part {part}")
        PARTS[part](setting, save)
    say(f"results in {options.out}/speed.json and speed.md")


def _without_folders(arguments: list[str]) -> list[str]:
    """The command as it is published: of absolute paths only the last part."""
    return [Path(word).name if Path(word).is_absolute() else word for word in arguments]


if __name__ == "__main__":
    logging.getLogger("transformers").setLevel(logging.ERROR)
    main(sys.argv[1:])
