"""No history, all of it, and the labelled evidence."""

from datetime import UTC, datetime, timedelta

import pytest

from penchant.compression.prompt import answer_messages
from penchant.errors import InputError
from penchant.history.records import History, Record, Request
from penchant.history.segmentation import segment
from penchant.models.chat import render_chat
from penchant.models.tokenization import prompt_ids
from penchant_lab.bench.items import Item
from penchant_lab.methods.method import Method, Notes
from penchant_lab.methods.references import full, gold, none
from tests.families import tiny

LOADED = tiny("llama")


def long_history(count: int) -> History:
    day = datetime(2024, 1, 1, tzinfo=UTC)
    return History([Record(f"walk number {n}", f"r{n}", when=day + timedelta(n)) for n in range(count)], "ines")


def ask(method: Method, item: Item) -> Notes:
    with method.open(item.history, segment(item.history, "record"), 0) as session:
        assert session.stored_bytes() == 0
        return session.notes(item, 0)


def item(history: History, query: str = "Which walk?", **more: object) -> Item:
    return Item("ines/0", history, Request(query), "the third", **more)  # type: ignore[arg-type]


def test_none_has_no_notes_and_gold_the_evidence() -> None:
    asked = item(long_history(5), evidence=("r3", "r1"))
    assert ask(none(), asked) == Notes(None)
    notes = ask(gold(LOADED), asked)
    assert notes.text == "2 January 2024:\nwalk number 1\n4 January 2024:\nwalk number 3"
    assert notes.segments is not None
    assert [piece.record_id for piece in notes.segments] == ["r1", "r3"]
    assert notes.tokens == len(LOADED.tokenizer(notes.text)["input_ids"])
    with pytest.raises(InputError, match="no labelled evidence"):
        ask(gold(LOADED), item(long_history(5)))


def test_full_is_everything_where_it_fits() -> None:
    notes = ask(full(LOADED, 8), item(long_history(3)))
    assert notes.kept == 1.0
    assert notes.text is not None
    assert all(f"walk number {n}" in notes.text for n in range(3))


@pytest.mark.parametrize("answer_tokens", [8, 120])
def test_full_keeps_the_newest_records_that_fit_beside_the_answer(answer_tokens: int) -> None:
    asked = item(long_history(60))
    notes = ask(full(LOADED, answer_tokens), asked)
    assert notes.text is not None
    assert notes.kept is not None
    assert 0 < notes.kept < 1
    assert notes.segments is not None
    assert notes.segments[-1].record_id == "r59"
    prompt = prompt_ids(LOADED, render_chat(LOADED, answer_messages(notes.text, asked.request)))
    assert len(prompt) + answer_tokens <= LOADED.window


def test_requests_of_different_lengths_see_the_same_cut() -> None:
    asked = [
        item(long_history(60), query)
        for query in ("Which?", "Which of all the " + "long " * 30 + "walks by the sea was it?")
    ]
    method = full(LOADED, 8)
    with method.open(asked[0].history, segment(asked[0].history, "record"), 0) as session:
        first, second = (session.notes(one, 0) for one in asked)
    assert first.text == second.text
