"""Profiles a call: by Penchant's own functions (cProfile) and by torch's operators (torch.profiler)."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile

SHOWN = 10


def functions(call: Callable[[], object]) -> list[dict[str, Any]]:
    """The functions with the largest time of their own (what they call taken off), with their share of the call."""
    profiler = cProfile.Profile()
    profiler.runcall(call)
    stats = pstats.Stats(profiler).stats  # type: ignore[attr-defined]  # documented, missing in the stubs
    total = sum(own for _, _, own, _, _ in stats.values())
    largest = sorted(stats.items(), key=lambda item: -item[1][2])[:SHOWN]
    return [
        {"name": _named(where), "calls": calls, "seconds": own, "share": own / total}
        for where, (_, calls, own, _, _) in largest
    ]


def stages(call: Callable[[], object], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Seconds inside the named functions ("file.py:function"), what they call included."""
    profiler = cProfile.Profile()
    profiler.runcall(call)
    stats = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    total = sum(own for _, _, own, _, _ in stats.values())
    found = {_named(where): entry for where, entry in stats.items()}
    return [
        {"name": name, "calls": found[name][1], "seconds": found[name][3], "share": found[name][3] / total}
        for name in names
        if name in found
    ]


def operators(call: Callable[[], object]) -> list[dict[str, Any]]:
    """The operators of torch with the largest time of their own. The shares are of the time inside of torch."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        call()
    events = profiler.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    largest = sorted(events, key=lambda event: -event.self_cpu_time_total)[:SHOWN]
    return [
        {
            "name": event.key,
            "calls": event.count,
            "seconds": event.self_cpu_time_total / 1e6,
            "share": event.self_cpu_time_total / total,
        }
        for event in largest
    ]


def _named(where: tuple[str, int, str]) -> str:
    file, _, function = where
    return function if file == "~" else f"{Path(file).name}:{function}"
