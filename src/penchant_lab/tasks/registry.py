"""Tasks by name. Adding one is one line here."""

from __future__ import annotations

from penchant.errors import InputError
from penchant_lab.tasks import (
    blog18f,
    dialogues,
    lamp,
    locomo,
    locomo_chat,
    locomo_replies,
    longlamp,
    movielens,
    mt_eval,
    personafeedback,
    personalwab,
    prefeval,
    styles,
)
from penchant_lab.tasks.task import Bench, Task

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        locomo.TASK,
        locomo_replies.TASK,
        *lamp.TASKS,
        blog18f.TASK,
        *longlamp.TASKS,
        movielens.RATING_TASK,
        movielens.LIKE_TASK,
        prefeval.EXPLICIT_TASK,
        prefeval.CHOICE_TASK,
        prefeval.PERSONA_TASK,
        personalwab.FUNCTION_TASK,
        personalwab.PRODUCT_TASK,
        personalwab.REVIEW_TASK,
        personafeedback.TASK,
        styles.TASK,
        dialogues.TASK,
        dialogues.DRIFT_TASK,
        mt_eval.TASK,
        locomo_chat.TASK,
    )
}


def find_task(name: str, bench: Bench) -> Task:
    """The task `name`. Raises `InputError` for an unknown one, or one of another bench, listing those of this one."""
    there = [one.name for one in TASKS.values() if bench in one.benches]
    if name not in there:
        raise InputError(f"no task {name!r} for bench {bench}: expected one of {', '.join(there)}")
    return TASKS[name]
