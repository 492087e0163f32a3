"""Tasks by name. Adding one is one line here."""

from __future__ import annotations

from penchant.errors import InputError
from penchant.evaluation.tasks import locomo
from penchant.evaluation.tasks.task import Bench, Task

TASKS: dict[str, Task] = {task.name: task for task in (locomo.TASK,)}


def task(name: str, bench: Bench) -> Task:
    """The task `name`. Raises `InputError` for an unknown one, or one of another bench, listing those of this one."""
    there = [one.name for one in TASKS.values() if bench in one.benches]
    if name not in there:
        raise InputError(f"no task {name!r} for bench {bench}: expected one of {', '.join(there)}")
    return TASKS[name]
