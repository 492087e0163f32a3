"""Instructions that a user writes down, changes and ends by hand."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from penchant.conversation.instructions.store import Notebook
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


def again(notebook: Notebook) -> Notebook:
    """What is there in the next run."""
    return notebook if notebook.store is None else Notebook(notebook.conversation, notebook.store, notebook.user)


def ended(notebook: Notebook) -> list[Instruction]:
    return [one for one in again(notebook).written if not one.stands]


def test_what_is_written_down_stands_in_its_order(store: Store | None) -> None:
    notebook = Notebook("first", store, "ann")
    made = [notebook.write(text) for text in ("Be brief.", "No emojis.", "Be brief.")]
    assert len({one.id for one in made}) == 3
    assert again(notebook).standing == tuple(made)
    assert again(notebook).written == tuple(made)


def test_ended_by_hand(store: Store | None) -> None:
    notebook = Notebook("first", store, "ann")
    made = notebook.write("Be brief.")
    done = notebook.end(made.id)
    assert (done.ended_by, done.stands) == ("user", False)
    assert again(notebook).standing == ()
    assert ended(notebook) == [done]
    with pytest.raises(InputError, match="no standing instruction"):
        notebook.end(made.id)


def test_other_words_take_its_place(store: Store | None) -> None:
    notebook = Notebook("first", store, "ann")
    made = notebook.write("Be brief.", "always")
    other = notebook.amend(made.id, " Be very brief. ")
    assert (other.text, other.scope) == ("Be very brief.", "always")
    assert again(notebook).standing == (other,)
    assert [one.ended_by for one in ended(notebook)] == [other.id]
    with pytest.raises(InputError, match="empty"):
        notebook.amend(other.id, "  ")
    assert again(notebook).standing == (other,)


def test_an_empty_one_is_refused(store: Store | None) -> None:
    with pytest.raises(InputError, match="empty"):
        Notebook("first", store, "ann").write("\n")


def test_an_unknown_one_is_refused(store: Store | None) -> None:
    notebook = Notebook("first", store, "ann")
    for change in (notebook.end, lambda name: notebook.amend(name, "Be brief.")):
        with pytest.raises(InputError, match="'nothing'"):
            change("nothing")
