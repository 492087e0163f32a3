"""Contrasts, from which vectors are made: an input of the user, with the user's own answer and one that isn't the
user's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from penchant.errors import InputError
from penchant.history.records import Request
from penchant.steering.data.pairs import Pair

Source = Literal["others", "none", "feedback"]
"""The source of the rejected answer: the model with items of other users in its prompt, the model with only the input,
or the user's own thumbs down.
"""


@dataclass(frozen=True)
class Contrast:
    """A contrast. request: the input. chosen: the user's answer; rejected: another one to the same input.

    record: id of the record that the pair is of ("" for feedback). when: of that record. donors: whose items stood in
    the prompt that wrote the rejected answer, as hashes (`store.erasure.lineage.source_of(user, record id)`): it is
    derived from them too, and goes with them.
    meta: how it was made (model, seed, tries, similarity). Raises `InputError` for an empty or equal answer.
    """

    request: Request
    chosen: str
    rejected: str
    source: Source
    record: str = ""
    when: datetime | None = None
    donors: tuple[tuple[str, str], ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.chosen.strip() or not self.rejected.strip():
            raise InputError("a contrast with an empty answer: expected a chosen and a rejected text")
        if self.chosen.strip() == self.rejected.strip():
            raise InputError("a contrast whose two answers are the same text: expected two different texts")

    @property
    def answer(self) -> str:
        """The user's own answer, as in a `Pair`."""
        return self.chosen

    @cached_property
    def id(self) -> str:
        """SHA-256 (hex, 16 characters) of input and answers."""
        parts = [self.request.query, self.request.task, self.chosen, self.rejected, self.record]
        return hashlib.sha256(json.dumps(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


Sample = Pair | Contrast
"""Gradients need only the user's own answer; all other readings need a contrast."""
PromptTemplate = Callable[[str | None, Request], str]
"""(notes, request) -> the rendered prompt, up to where the answer begins."""
