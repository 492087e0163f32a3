"""Tasks by name. All are entry points in the group `penchant.tasks`, the lab's own included."""

from __future__ import annotations

from penchant.errors import InputError
from penchant.extensions import Registry
from penchant_lab.tasks.task import Bench, Task

TASKS: Registry[Task] = Registry("task", "penchant.tasks", {}, expects="penchant_lab.tasks.task:Task")


def find_task(name: str, bench: Bench) -> Task:
    """Return the task `name`. Raises `InputError` for an unknown one, and for one of another bench (it lists those of
    this bench).
    """
    there = [one.name for one in TASKS.values() if bench in one.benches]
    if name not in there:
        raise InputError(f"no task {name!r} for bench {bench}: expected one of {', '.join(there)}")
    return TASKS[name]
