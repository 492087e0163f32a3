"""`Row`: one measurement of a method on an item, as in results.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Row:
    """asked: the budget as it was asked for ("2%", "100"; "" for a method without one); budget: the same in tokens.

    tokens: of the notes. history_tokens: of the whole history. kept: share of the history that is in the prompt (full
    history only). prompt_tokens: of the whole prompt. tokens_fed: through any model to make the notes. seconds: to make
    them; cold: the first item of its history, preparation included. answer_seconds: the answer's share of its batch.
    loss: nats; per token of the true answer, or of the true choice among the choices. metrics: of this item alone, by
    name. predicted, true: numbers (a rating, the index of a choice) for metrics of all items together. recall,
    precision: of the evidence records in the notes. auc, recall_at_10: of the scores. error: why the item failed, in
    one line; then all other fields are empty.
    """

    method: str
    item: str
    user: str
    seed: int
    asked: str
    category: str = ""
    budget: int | None = None
    tokens: int = 0
    history_tokens: int = 0
    kept: float | None = None
    prompt_tokens: int = 0
    tokens_fed: int = 0
    seconds: float = 0.0
    cold: bool = False
    answer_seconds: float = 0.0
    loss: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    predicted: float | None = None
    true: float | None = None
    recall: float | None = None
    precision: float | None = None
    auc: float | None = None
    recall_at_10: float | None = None
    fallback: bool = False
    error: str | None = None

    @property
    def key(self) -> tuple[str, str, str, int]:
        """(method, item, asked, seed): a resumed run skips measured keys."""
        return self.method, self.item, self.asked, self.seed

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Row:
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in document.items() if name in known})
