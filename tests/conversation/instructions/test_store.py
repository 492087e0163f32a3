"""Instructions that a user writes down, changes and ends by hand."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from penchant.conversation.instructions.store import InstructionStore
from penchant.errors import InputError
from penchant.history.dialogue import Instruction
from penchant.store import Store


@pytest.fixture(params=["memory", "store"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store | None]:
    if request.param == "memory":
        yield None
        return
    with Store(tmp_path / "store") as made:
        made.conversations.open("ann", "first", when=datetime.now(UTC))
        yield made


def again(instructions: InstructionStore) -> InstructionStore:
    """What is there in the next run."""
    return (
        instructions
        if instructions.store is None
        else InstructionStore(instructions.conversation, instructions.store, instructions.user)
    )


def ended(instructions: InstructionStore) -> list[Instruction]:
    return [one for one in again(instructions).all if not one.active]


def test_what_is_written_down_stands_in_its_order(store: Store | None) -> None:
    instructions = InstructionStore("first", store, "ann")
    made = [instructions.add(text) for text in ("Be brief.", "No emojis.", "Be brief.")]
    assert len({one.id for one in made}) == 3
    assert again(instructions).standing == tuple(made)
    assert again(instructions).all == tuple(made)


def test_ended_by_hand(store: Store | None) -> None:
    instructions = InstructionStore("first", store, "ann")
    made = instructions.add("Be brief.")
    done = instructions.end(made.id)
    assert (done.ended_by, done.active) == ("user", False)
    assert again(instructions).standing == ()
    assert ended(instructions) == [done]
    with pytest.raises(InputError, match="no standing instruction"):
        instructions.end(made.id)


def test_other_words_take_its_place(store: Store | None) -> None:
    instructions = InstructionStore("first", store, "ann")
    made = instructions.add("Be brief.", "always")
    other = instructions.edit(made.id, " Be very brief. ")
    assert (other.text, other.scope) == ("Be very brief.", "always")
    assert again(instructions).standing == (other,)
    assert [one.ended_by for one in ended(instructions)] == [other.id]
    with pytest.raises(InputError, match="empty"):
        instructions.edit(other.id, "  ")
    assert again(instructions).standing == (other,)


def test_an_empty_one_is_refused(store: Store | None) -> None:
    with pytest.raises(InputError, match="empty"):
        InstructionStore("first", store, "ann").add("\n")


def test_an_unknown_one_is_refused(store: Store | None) -> None:
    instructions = InstructionStore("first", store, "ann")
    for change in (instructions.end, lambda name: instructions.edit(name, "Be brief.")):
        with pytest.raises(InputError, match="'nothing'"):
            change("nothing")
