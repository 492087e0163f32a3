"""The worker's side of the conversation: one JSON object a line in, one a line out. Python's own library only."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any


def versions(*packages: str) -> dict[str, str]:
    return {"python": sys.version.split()[0], **{name: version(name) for name in packages}}


def serve(operations: Mapping[str, Callable[..., dict[str, Any]]]) -> None:
    """Answer requests {"op": name, **arguments} until stdin ends; {"error": one line} where one fails.

    What a library prints goes to stderr: stdout belongs to the answers, down to the file descriptor.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    for line in sys.stdin:
        try:
            request = json.loads(line)
            name = request.pop("op")
            if name not in operations:
                raise ValueError(f"no operation {name!r}: expected one of {', '.join(operations)}")
            answer = operations[name](**request)
        except Exception as error:  # noqa: BLE001 (whatever a peer trips over is told, and the next request served)
            traceback.print_exc()
            answer = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:500]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
