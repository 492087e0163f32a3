"""Steering and notes in the prompt together, and what they cost."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from penchant.history.segmentation import segment
from penchant.steering.storage.bank_file import bank_bytes
from penchant_lab.bench.items import Item
from penchant_lab.methods import steered
from penchant_lab.methods.method import Method, Notes
from penchant_lab.methods.writing import Name
from penchant_lab.speed.measure import counting
from tests.lab.methods.steered_cases import (
    ask,
    len_read,
    method,
    same,
    shared,
)

pytestmark = pytest.mark.usefixtures("quick")


@pytest.mark.usefixtures("trusted")
def test_notes_and_vectors_reach_the_prompt_together(tmp_path: Path) -> None:
    steering = shared(tmp_path)
    item = steering.items[0][0]
    plain, vectors, both = (ask(method(name, steering), item) for name in ("recency", "ascent", "ascent+recency"))
    assert both.text == plain.text and plain.text
    assert (both.tokens, both.segments) == (plain.tokens, plain.segments)
    assert plain.intervention is None and vectors.text is None
    assert same(both.intervention, vectors.intervention) and both.intervention is not None


class Told:
    """Notes of a method that keeps something and fell back."""

    def notes(self, item: Item, budget: int) -> Notes:
        return Notes("told", 1, tokens_fed=5, seconds=2.0, fallback=True)

    def stored_bytes(self) -> int:
        return 1000


def test_what_notes_cost_is_added(tmp_path: Path) -> None:
    steering = shared(tmp_path)
    below = Method("told", lambda history, segments, seed: nullcontext(Told()), "for tests")
    item = steering.items[0][0]
    for name in ("ascent", "ascent@other", "population"):
        found = []
        for notes in (None, below):
            made = steered.steered_method(Name(name.partition("@")[0], name.partition("@")[2]), steering, notes)
            with made.open(item.history, segment(item.history, "record"), 0) as session:
                found.append((session.notes(item, 60), session.stored_bytes()))
        (alone, bare), (both, whole) = found
        bank = steering.bank("ascent", item.history, 0)[0]
        assert bank is not None
        assert bare == (0 if name == "population" else bank_bytes(bank))
        assert whole == bare + 1000
        assert both.text == "told" and both.fallback and both.seconds > 2 > alone.seconds
        assert both.tokens_fed == 5 + (len_read(steering, item) if name != "population" else 0)


def test_fitting_is_not_taken_for_the_cost_of_a_user(tmp_path: Path) -> None:
    steering = shared(tmp_path)
    with counting(steering.loaded.model) as fed:
        notes = ask(method("ascent", steering), steering.items[0][0])
    assert 0 < notes.tokens_fed < fed.tokens / 3
