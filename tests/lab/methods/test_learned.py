"""Learned steering as methods of the bench: what is learned on whom, what is kept, and whose is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from penchant.history.records import History, Record, Request
from penchant.history.segmentation import segment
from penchant.inference.likelihood import Exchange
from penchant_lab.bench.items import Item
from penchant_lab.methods import learned
from penchant_lab.methods.learned import HEADS, Learning
from penchant_lab.methods.registry import check_names, make_method
from penchant_lab.methods.writing import parse_steered
from penchant_lab.steering.learning import TrainingRun
from tests.families import tiny
from tests.lab.methods.steered_cases import LOADED, SEEDED, TASK, TEST, TUNE, ask, context, same, shared

NAMES = ("lofit", "soft-injection")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"CHOOSING": 1, "COMMON": 1, "OWN": 2, "OF_EACH": 2}.items():
        monkeypatch.setattr(learned, name, value)


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[list[str], list[str]]]]:
    """What each part was learned from and decided with, as text."""
    seen: dict[str, list[tuple[list[str], list[str]]]] = {"choose_heads": [], "learn_offsets": [], "learn_gates": []}

    def told(exchanges: list[Exchange] | None) -> list[str]:
        return [str(LOADED.tokenizer.decode([*one.prompt, *one.answer])) for one in exchanges or []]

    def traced(name: str) -> None:
        call: Any = getattr(learned, name)

        def tracing(loaded: object, exchanges: list[Exchange], *more: object, **options: Any) -> object:
            seen[name].append((told(exchanges), told(options.get("held_out"))))
            return call(loaded, exchanges, *more, **options)

        monkeypatch.setattr(learned, name, tracing)

    for name in seen:
        traced(name)
    return seen


@pytest.mark.parametrize("name", [*NAMES, "lofit@other", "soft-injection@other+bm25", "lofit+bm25*0.5+dense"])
def test_names(name: str) -> None:
    check_names([name], None)
    assert str(parse_steered(name)) == name
    assert parse_steered(f"{name.partition('@')[0].partition('+')[0]}@random") is None


def test_the_population_is_learned_on_tuning_users_once(tmp_path: Path, data: Any) -> None:
    learning = Learning(shared(tmp_path))
    common = learning.common
    assert len(common.heads) == HEADS and common.vectors.shape == (HEADS, LOADED.head_dim)
    assert {head.layer for head in common.heads} <= {1, 2}
    ((mine, theirs),) = data["learn_offsets"]
    assert data["choose_heads"] == [(mine, [])]
    assert [sum(user in text for text in [*mine, *theirs]) for user in (*TEST, *TUNE)] == [0, 0, 0, 2, 2, 2, 2]
    assert [sum(user in text for text in theirs) for user in sorted(TUNE)] == [0, 0, 0, 2]  # whole users decide
    again = Learning(shared(tmp_path)).common
    assert again.heads == common.heads and torch.equal(again.vectors, common.vectors) and again.scope == common.scope
    assert len(data["learn_offsets"]) == 1


@pytest.mark.parametrize("change", ["recipe", "model", "tuning"])
def test_what_was_learned_otherwise_is_learned_anew(
    change: str, tmp_path: Path, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ = Learning(shared(tmp_path)).common
    steering = shared(tmp_path)
    if change == "recipe":
        monkeypatch.setattr(learned, "HEADS", 3)
    elif change == "model":
        steering.loaded = tiny("qwen3", layers=3)
    else:
        del steering.tuning[TUNE[0]]
    _ = Learning(steering).common
    assert len(data["learn_offsets"]) == 2


def test_a_user_learns_from_the_users_own_answers(tmp_path: Path, data: Any) -> None:
    steering = shared(tmp_path)
    steering.tuning  # noqa: B018 - read before the samples are counted
    item = steering.items[0][0]
    made = context(steering)
    _ = made.learning.common
    data["learn_offsets"].clear()
    for name, part in zip(NAMES, ("learn_offsets", "learn_gates"), strict=True):
        method = make_method(name, made)
        notes = [ask(method, one) for one in steering.items[0] if one.user == item.user]
        assert all(same(one.intervention, notes[0].intervention) for one in notes)
        ((mine, theirs),) = data[part]  # once for all the user's questions
        assert mine and theirs and not set(mine) & set(theirs)
        assert all(item.user in text for text in [*mine, *theirs])
        assert not any(one.answer in text for text in [*mine, *theirs] for one in steering.items[0])


def test_examples_that_a_user_is_read_in_are_none_that_decide(
    tmp_path: Path, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    embed = learned.embed_user

    def embedding(loaded: object, prompts: list[list[int]], **options: Any) -> object:
        read.extend(str(LOADED.tokenizer.decode(one)) for one in prompts)
        return embed(LOADED, prompts, **options)

    monkeypatch.setattr(learned, "embed_user", embedding)
    steering = shared(tmp_path)
    history = steering.items[0][0].history
    Learning(steering).learned("soft-injection", history, 0)
    pairs = steering.pairs(history)
    examples = [pair for place, pair in enumerate(pairs) if place % 4 != 3]
    assert len(read) == 4 and len(examples) == 6 < len(pairs)
    for text in read:
        (asked,) = [pair for pair in pairs if pair.request.query in text and pair.answer not in text]
        assert text.index(asked.request.query) > max(text.index(pair.answer) for pair in examples if pair != asked)
        assert pairs[3].answer not in text and pairs[3].request.query not in text
    assert len(data["learn_gates"][0][1]) == 1 and pairs[3].answer in data["learn_gates"][0][1][0]


@pytest.mark.parametrize("kept", [0, 1])
@pytest.mark.parametrize("name", NAMES)
def test_it_says_when_nothing_of_the_users_was_learned(
    name: str, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steering = shared(tmp_path)
    made = context(steering)
    _ = made.learning.common
    from penchant_lab.steering import lofit, soft_injection

    def learn(data: object, parameters: list[torch.Tensor], *more: object, **options: object) -> TrainingRun:
        if kept:
            for one in parameters:
                one.detach().add_(0.5)
        return TrainingRun((3.0, 2.0), kept)

    monkeypatch.setattr(lofit, "learn", learn)
    monkeypatch.setattr(soft_injection, "learn", learn)
    item = steering.items[0][0]
    notes = ask(make_method(name, made), item)
    assert notes.fallback == (kept == 0)
    if name == "lofit":
        assert same(notes.intervention, made.learning.common.intervention(LOADED)) == (kept == 0)
    else:
        assert (notes.intervention is None) == (kept == 0)


@pytest.mark.parametrize("name", NAMES)
def test_another_users_is_written(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steering = shared(tmp_path)
    made = context(steering)
    method, other = make_method(name, made), make_method(f"{name}@other", made)
    assert other.seeded and not method.seeded and "another user's" in other.about
    for item in steering.items[0][::3]:
        stands_in = steering.another(item.user, 0)
        theirs = next(one for one in steering.items[0] if one.user == stands_in.user)
        found = ask(other, item)
        assert same(found.intervention, ask(method, theirs).intervention)
        with other.open(item.history, segment(item.history, "record"), 0) as session:
            assert session.stored_bytes() == made.learning.learned(name, item.history, 0).bytes


def test_users_of_another_seed_are_others_where_texts_are_drawn(tmp_path: Path, data: Any) -> None:
    for task, times in ((TASK, 1), (SEEDED, 2)):
        data["learn_gates"].clear()
        learning = Learning(shared(tmp_path, task=task))
        for seed in (0, 1):
            learning.learned("soft-injection", learning.steering.items[seed][0].history, seed)
        assert len(data["learn_gates"]) == times


def test_a_user_without_answers_gets_the_populations(tmp_path: Path) -> None:
    made = context(shared(tmp_path))
    for replies in (0, 1):
        records = [Record("The kettle is new.", "a", reply="Is it?" if replies else None), Record("A bus.", "b")]
        item = Item("x", History(records, "nobody"), Request("What is new?"), "The kettle.")
        notes = ask(make_method("lofit", made), item)
        assert notes.fallback and same(notes.intervention, made.learning.common.intervention(LOADED))
        notes = ask(make_method("soft-injection+recency", made), item)
        assert notes.fallback and notes.intervention is None and notes.text


def test_what_is_learned_reaches_the_prompt_with_notes_and_has_a_size(tmp_path: Path) -> None:
    steering = shared(tmp_path)
    made = context(steering)
    item = steering.items[0][0]
    both = ask(make_method("lofit+recency", made), item)
    assert both.text == ask(make_method("recency", made), item).text
    assert same(both.intervention, ask(make_method("lofit", made), item).intervention)
    assert both.intervention is not None and both.intervention.scope == "last_1"
    with make_method("lofit", made).open(item.history, segment(item.history, "record"), 0) as session:
        assert session.stored_bytes() == HEADS * LOADED.head_dim * 2
