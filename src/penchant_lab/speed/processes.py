"""Runs one measurement in a separate process, so that its memory isn't counted in another one, and running out of
memory ends only this one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import torch

PACKAGE = "penchant_lab.speed"


def alone(module: str, payload: dict[str, Any], threads: int) -> dict[str, Any]:
    """Run a module of this package, with the payload on its stdin; its answer is the last line of its stdout.

    A failure comes back as {"failed": why}, so that the other measurements go on.
    """
    finished = subprocess.run(
        [sys.executable, "-m", f"{PACKAGE}.{module}"],
        input=json.dumps({**payload, "threads": threads}),
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true"},
        check=False,
    )
    lines = finished.stdout.strip().splitlines()
    if finished.returncode or not lines:
        why = "killed, most likely for its memory" if finished.returncode == -9 else f"exit {finished.returncode}"
        return {"failed": why}
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


def answering(work: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """The other side of `alone`: read the payload, set the threads, do the work, print the answer."""
    payload = json.loads(sys.stdin.read())
    torch.set_num_threads(payload["threads"])
    answer = work(payload)
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
