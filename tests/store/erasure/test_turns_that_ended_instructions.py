"""An instruction that an erased turn had ended stands as if the turn had never been there."""

from dataclasses import replace

import pytest

from tests.store.erasure.turn_cases import START, filled, instruction, turn


@pytest.fixture
def store(open_store, tmp_path):
    with filled(open_store(tmp_path / "store")) as opened:
        yield opened


def chain(*links, ended=None, by=None):
    """Instructions a-0, a-2, ... where each takes the place of the one before; the last ended by something else."""
    made = []
    for number, after in zip(links, [*links[1:], None], strict=True):
        one = instruction("bob", "a", number)
        when, what = (ended, by) if after is None else (turn("bob", "a", after).when, f"a-{after}")
        made.append(replace(one, ended=when, ended_by=what))
    return made


def at(number):
    return turn("bob", "a", number).when


@pytest.mark.parametrize(
    ("made", "erased", "left"),
    [
        (chain(0, 4, 6), [6], {0: (at(4), "a-4"), 4: (None, None)}),
        (chain(0, 4, 6), [4], {0: (at(6), "a-6"), 6: (None, None)}),
        (chain(0, 4, 6), [4, 6], {0: (None, None)}),
        (chain(0, 4, ended=at(8), by="user"), [8], {0: (at(4), "a-4"), 4: (None, None)}),
        (chain(0, 4, ended=at(8), by="user"), [4], {0: (at(8), "user")}),
        (chain(0, 4, ended=at(8), by="user"), [4, 8], {0: (None, None)}),
        (chain(0, 4, ended=at(8), by="until"), [4], {0: (None, None)}),
        (chain(0, ended=at(8), by="until"), [8], {0: (None, None)}),
        (chain(0, ended=at(8), by="until"), [7], {0: (at(8), "until")}),
    ],
)
def test_what_an_erased_instruction_had_ended_stands_as_without_it(store, made, erased, left):
    store.conversations.put("bob", *made)
    for number in {0, 4, 6} - {one.turn for one in made}:
        store.conversations.put("bob", replace(instruction("bob", "a", number), ended=START, ended_by="user"))
    store.conversations.forget_turns("bob", "a", erased)
    found = {one.turn: one for one in store.conversations.instructions("bob", "a") if one.turn is not None}
    assert {number: (found[number].ended, found[number].ended_by) for number in left} == left
    assert not set(erased) & set(found)


def test_a_ring_of_instructions_doesnt_hang(store):
    ring = [replace(instruction("bob", "a", n), ended=START, ended_by=f"a-{m}") for n, m in ((0, 4), (4, 6), (6, 4))]
    store.conversations.put("bob", *ring)
    store.conversations.forget_turns("bob", "a", [4, 6])
    assert [one.ended_by for one in store.conversations.instructions("bob", "a")] == [None, None]
