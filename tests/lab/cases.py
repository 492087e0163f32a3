"""A small task on the tiny model: histories in which the evidence is known."""

from collections.abc import Sequence
from pathlib import Path

from penchant.history.records import History, Record, Request
from penchant.lens.calibration import Calibration
from penchant.models.loading import LoadedModel
from penchant_lab.bench.items import Item
from penchant_lab.methods.registry import BenchContext
from penchant_lab.tasks.task import Task
from tests.families import tiny

TEXTS = (
    "I am allergic to peanuts and I like long walks by the sea.",
    "The meeting is on Tuesday at ten, please bring the report.",
    "She wrote three letters about the film and the cooking.",
    "My bicycle is green and it stands in the cellar.",
)


def history(user: str = "ines", texts: Sequence[str] = TEXTS) -> History:
    return History([Record(text, f"r{number}") for number, text in enumerate(texts)], user)


def items(users: Sequence[str] = ("ines", "tomas")) -> list[Item]:
    """Two questions a user, on one history."""
    asked = (("Where do I like to walk?", "by the sea", "r0"), ("What colour is my bicycle?", "green", "r3"))
    made = []
    for user in users:
        one = history(user)
        made += [
            Item(f"{user}/{n}", one, Request(query), answer, evidence=(evidence,), category=str(n))
            for n, (query, answer, evidence) in enumerate(asked)
        ]
    return made


def read(path: Path, seed: int) -> list[Item]:
    return items()


TASK = Task("small", ("mark", "compress"), read, ("f1",), "for tests", max_new_tokens=4, unit="record", budget="30%")


def calibration(loaded: LoadedModel) -> Calibration:
    return Calibration(loaded.name, loaded.fingerprint, ((1, 2), (2, 0)), (1.0, 0.5), prefix="<|user|>")


def context(family: str = "llama", task: Task = TASK) -> BenchContext:
    loaded = tiny(family)
    return BenchContext(loaded, task, Path(), task.max_new_tokens, calibration(loaded))
