"""Users who are steered in a bench of a tiny model, shared by the tests of steering methods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from penchant.history.records import History, Record, Request
from penchant.history.segmentation import segment
from penchant.inference.intervention import Intervention
from penchant.models.loading import LoadedModel
from penchant.steering.apply.context import FittedSteering
from penchant.steering.methods.registry import VECTOR_METHODS
from penchant.steering.storage.bank import Bank
from penchant_lab.bench.items import Item, Part, part_of
from penchant_lab.measures.held_out import newest_held_out
from penchant_lab.methods import steered
from penchant_lab.methods.method import Method, Notes
from penchant_lab.methods.registry import BenchContext, make_method
from penchant_lab.methods.steered import Steering
from penchant_lab.speed.measure import counting
from penchant_lab.tasks.task import Task
from tests.families import tiny

ASK = "Reply:"


PLACES = ["sea", "hill", "lake", "wood", "town", "farm", "mill", "cave", "dune", "pond"]


SHARED = Record("What two of us wrote on the cave of the dune.", reply="A title that two of us have in common")


def _names(part: Part, count: int) -> list[str]:
    names = (f"user{number}" for number in range(1000))
    return [name for name in names if part_of(name) == part][:count]


TEST, TUNE = _names("test", 3), _names("tune", 4)


def record_of(user: str, number: int, seed: int = 0) -> Record:
    place = PLACES[number % len(PLACES)]
    reply = f"{user} says {place}" if seed == 0 else f"{place}, wrote {user} in {seed}"
    return Record(f"Of the {place} at {number} in the day of {user}?", f"{user}-{number}", reply=reply)


def read(path: Path, seed: int, drawn: int = 0, users: Sequence[str] = (*TEST, *TUNE)) -> list[Item]:
    """One question a user; the first user of both parts has a record in common with the first that is asked."""
    made = []
    for user in users:
        records = [record_of(user, number, drawn) for number in range(8)]
        if user == TUNE[0]:
            records.insert(3, replace(SHARED, id="both"))
        if user == TEST[0]:
            records.append(replace(SHARED, id="mine"))
        asked = Request(f"And what of the valley, {user}, if anything at all?", ASK)
        made.append(Item(f"{user}/q", History(records, user), asked, f"{user} says no to the valley"))
    return made


TASK = Task("letters", ("steer",), read, ("rouge1",), "for tests", max_new_tokens=4, unit="record", budget="30%")


LOADED = tiny("llama", layers=3)


def quicken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer samples, short answers, and few choices to try."""
    monkeypatch.setattr(steered, "PAIRS", 3)
    monkeypatch.setattr(steered, "Recipe", partial(steered.Recipe, tries=1, max_new_tokens=3))
    few = {
        name: replace(method, layers=(0.5,), strengths=method.strengths[:1], aggregations=method.aggregations[:1])
        for name, method in VECTOR_METHODS.items()
    }
    for name, method in few.items():
        monkeypatch.setitem(VECTOR_METHODS.loaded, name, method)


def asked(seeds: Sequence[int] = (0,), task: Task = TASK) -> dict[int, list[Item]]:
    return {seed: newest_held_out(task.items(Path(), "test", seed), 2) for seed in seeds}


def shared(cache: Path, seeds: Sequence[int] = (0, 1), task: Task = TASK) -> Steering:
    return Steering(LOADED, task, Path(), asked(seeds, task), cache)


def context(steering: Steering) -> BenchContext:
    made = BenchContext(steering.loaded, steering.task, steering.data, 4, items=steering.items)
    made.__dict__["steering"] = steering
    return made


def method(name: str, steering: Steering) -> Method:
    return make_method(name, context(steering))


def ask(made: Method, item: Item, seed: int = 0, budget: int = 60) -> Notes:
    with made.open(item.history, segment(item.history, "record"), seed) as session:
        return session.notes(item, budget)


def same(one: Intervention | None, other: Intervention | None) -> bool:
    if one is None or other is None:
        return one is other
    adds = [(edit.add, other.edits[site].add) for site, edit in one.edits.items() if site in other.edits]
    whole = one.edits.keys() == other.edits.keys() and one.scope == other.scope
    return whole and all(a is not None and b is not None and torch.equal(a, b) for a, b in adds)


@contextmanager
def trusting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A random model is helped by nothing: every check says that the user's own vectors do."""
    with monkeypatch.context() as patch:
        patch.setattr(steered, "validate_user", lambda *args, **options: steered.ValidationResult("own", 1.0))
        strong = steered.fit_config

        def fitted(*args: object, **options: object) -> object:
            return replace(strong(*args, **options), strength=1.0)  # type: ignore[arg-type]

        patch.setattr(steered, "fit_config", fitted)
        yield


class Told:
    """Notes of a method that keeps something and fell back."""

    def notes(self, item: Item, budget: int) -> Notes:
        return Notes("told", 1, tokens_fed=5, seconds=2.0, fallback=True)

    def stored_bytes(self) -> int:
        return 1000


def len_read(steering: Steering, item: Item) -> int:
    with counting(steering.loaded.model) as fed:
        ask(method("ascent", steering), item)
    return fed.tokens


SEEDED = replace(TASK, seeded=True, read=lambda path, seed: read(path, seed, seed))


def traced(monkeypatch: pytest.MonkeyPatch) -> list[Bank]:
    """The bank of each request, as it comes."""
    used: list[Bank] = []
    steer = steered.steer_request

    def tracing(loaded: LoadedModel, fitted: FittedSteering, query: str) -> object:
        assert fitted.bank is not None
        used.append(fitted.bank)
        return steer(loaded, fitted, query)

    monkeypatch.setattr(steered, "steer_request", tracing)
    return used
