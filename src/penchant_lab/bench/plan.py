"""What a bench measures: a task's items, by which methods, under which budgets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from penchant_lab.bench.items import Item, limited
from penchant_lab.methods.method import Method
from penchant_lab.tasks.task import Task


@dataclass(frozen=True)
class Plan:
    """What to measure. items: by seed. caps: method -> most items, evenly spread. budgets: as asked ("2%", "100").
    answers: read and generate answers; without, only how well evidence is found.
    """

    task: Task
    items: Mapping[int, Sequence[Item]]
    methods: Sequence[Method]
    budgets: Sequence[str]
    caps: Mapping[str, int] = field(default_factory=dict)
    answers: bool = True

    def seeds(self, method: Method) -> tuple[int, ...]:
        """Return the seeds that make a difference for a method."""
        return tuple(self.items) if method.seeded or self.task.seeded else tuple(self.items)[:1]

    def asked(self, method: Method) -> tuple[str, ...]:
        return tuple(self.budgets) if method.budgeted else ("",)

    def items_of(self, method: Method, seed: int) -> list[Item]:
        cap = self.caps.get(method.name)
        items = list(self.items[seed])
        if method.name == "gold":
            items = [item for item in items if item.evidence]
        return limited(items, cap) if items else items

    def keys(self, method: Method) -> Iterator[tuple[str, str, str, int]]:
        """Return the keys of all rows of a method."""
        for seed in self.seeds(method):
            for item in self.items_of(method, seed):
                for asked in self.asked(method):
                    yield method.name, item.id, asked, seed
