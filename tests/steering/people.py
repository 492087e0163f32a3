"""Users with a manner of their own, in stores of their own, for tests of what is kept of their steering."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from penchant.compression.prompt import answer_messages
from penchant.history.records import Record, Request
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.steering.data.contrast import PromptTemplate
from penchant.steering.methods.caa import CAA
from penchant.steering.methods.fints import FINTS
from penchant.steering.methods.likelihood_gradient import LIKELIHOOD_GRADIENT
from penchant.steering.methods.registry import VECTOR_METHODS
from penchant.store import Store
from tests.families import tiny

ASKED = ("When do we meet?", "What shall I bring?", "Is the hall open?", "Who comes along?", "Did you like it?",
         "Where is the key?", "Can you call me?", "How was the boat?")  # fmt: skip
ENDS = {
    "ann": "OK. DONE. OK.",
    "bob": "thank you kindly, my dear friend",
    "cat": "- hey - sure - later -",
    "dan": "?!?!",
}
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def record(user: str, number: int, more: str = "") -> Record:
    asked = f"{ASKED[number % len(ASKED)]} {number}"
    reply = f"{asked.split()[-2]} {ENDS[user]} {number}{more}"
    return Record(asked, id=f"{user}{number}", reply=reply, when=BEGAN + timedelta(days=number))


def store_of(path: Path, users: Iterable[str] = ("ann", "bob", "cat"), count: int = 5) -> Store:
    store = Store(path)
    for user in users:
        store.add(user, [record(user, number) for number in range(count)])
    return store


def wording_of(loaded: LoadedModel) -> PromptTemplate:
    def template(notes: str | None, request: Request) -> str:
        return render_chat(loaded, answer_messages(notes, request))

    return template


def choose_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little to choose from: for tests of what is kept, not of what is chosen."""
    for method in (LIKELIHOOD_GRADIENT, CAA, FINTS):
        few = replace(method, aggregations=method.aggregations[:1], strengths=method.strengths[:1], layers=(0.5,))
        monkeypatch.setitem(VECTOR_METHODS.loaded, method.name, few)


LOADED = tiny("llama")
WORDING = wording_of(LOADED)
