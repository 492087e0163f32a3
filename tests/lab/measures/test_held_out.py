"""More questions of each user, asked of a history that ends before all of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from penchant.errors import InputError
from penchant.history.records import History, Record, Request
from penchant_lab.bench.items import Item
from penchant_lab.measures.held_out import WORDS, newest_held_out, without_asked
from penchant_lab.measures.leaks import leaks

THINGS = ["kite", "lamp", "boat", "drum", "cake", "rope", "bell", "coat", "fork", "harp", "desk", "vase"]
TASK = "Write a title:"


def record(number: int, text: str | None = None, reply: str | None = "", user: str = "ada") -> Record:
    thing = THINGS[number % len(THINGS)]
    text = text or f"Yesterday a {thing} was sold at the market by number {number} of the keepers of {thing}s."
    reply = f"The {thing} that went away, part {number} of many" if reply == "" else reply
    when = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)
    return Record(text, f"{user}{number}", reply=reply, when=when)


def item(records: list[Record], user: str = "ada", name: str = "q") -> Item:
    asked = Request("What the mayor said about the new bridge over the river.", TASK)
    return Item(f"{user}/{name}", History(records, user), asked, "A bridge at last for everybody", category="news")


def test_the_newest_are_asked_of_what_came_before_them() -> None:
    records = [record(n) for n in range(12)]
    given = item(records)
    made = newest_held_out([given], 3)
    assert [one.id for one in made] == ["ada/q", "ada/q#ada9", "ada/q#ada10", "ada/q#ada11"]
    assert [(one.request, one.answer, one.category) for one in made[:1]] == [(given.request, given.answer, "news")]
    for one, source in zip(made[1:], records[9:], strict=True):
        assert (one.request, one.answer) == (Request(source.text, TASK), source.reply)
        assert one.category == "news"
    assert {id(one.history) for one in made} == {id(made[0].history)}
    assert [one.id for one in made[0].history] == [f"ada{n}" for n in range(9)]
    assert made[0].history.user == "ada"


def test_nothing_of_what_is_asked_is_left() -> None:
    records = [record(n) for n in range(12)]
    newest, title = records[11], records[10].reply or ""
    records[2] = record(2, text=newest.text.upper())
    records[3] = record(3, reply=f"On this: {title}!")
    records[4] = record(4, text="What the mayor said about the new bridge over the river.")
    records[5] = record(5, reply="a bridge, at last, for everybody")
    made = newest_held_out([item(records)], 2)
    assert len(made) == 3
    assert [one.id for one in made[0].history] == [f"ada{n}" for n in (0, 1, 6, 7, 8, 9)]
    for one in made:
        assert leaks(one) == []
        assert leaks(one, before=records[10].when) == []


def test_other_right_answers_are_held_out_as_well() -> None:
    records = [record(n) for n in range(12)]
    records[1] = record(1, reply="Across the water on foot at last")
    given = item(records)
    given = Item(given.id, given.history, given.request, given.answer, references=("Across the water on foot at last",))
    made = newest_held_out([given], 2)
    assert made[0].references == given.references
    assert leaks(made[0]) == [] and "ada1" not in [one.id for one in made[0].history]
    assert [one.id for one in without_asked(records, [given])] == [one.id for one in records if one.id != "ada1"]


def test_records_without_a_reply_are_never_asked_and_stay() -> None:
    records = [record(n, reply=None if n % 2 else "") for n in range(16)]
    made = newest_held_out([item(records)], 2)
    assert [one.id for one in made[1:]] == ["ada/q#ada12", "ada/q#ada14"]
    assert [one.id for one in made[0].history] == [f"ada{n}" for n in range(12)]


def test_long_inputs_are_cut_and_what_is_asked_is_no_part_of_another() -> None:
    words = [f"w{n}" for n in range(3 * WORDS)]
    records = [record(n) for n in range(8)]
    # It shares what is asked, and little of the rest.
    records[1] = record(1, text=" ".join([*words[:WORDS], *(f"v{n}" for n in range(4 * WORDS))]))
    records[7] = record(7, text=" ".join(words))
    made = newest_held_out([item(records)], 1)
    assert made[1].request.query.split() == words[:WORDS]
    assert [leaks(one) for one in made] == [[], []]
    assert len(made[0].history) == 6


def test_users_with_one_history_stay_as_they_are_and_others_give_the_longest() -> None:
    shared = History([record(n, user="bo") for n in range(2)], "bo")
    asked = [Item(f"bo/{n}", shared, Request("?", TASK), "no") for n in range(3)]
    short = item([record(n) for n in range(6)], name="short")
    long = item([record(n) for n in range(9)], name="long")
    made = newest_held_out([short, *asked, long], 1)
    assert [one.id for one in made] == ["ada/long", "ada/long#ada8", "bo/0", "bo/1", "bo/2"]
    assert all(one is other for one, other in zip(made[2:], asked, strict=True))


def test_with_none_held_out_the_history_loses_nothing_but_leaks() -> None:
    records = [record(n) for n in range(6)]
    records[2] = record(2, reply="A bridge at last for everybody")
    (made,) = newest_held_out([item(records)], 0)
    assert [one.id for one in made.history] == ["ada0", "ada1", "ada3", "ada4", "ada5"]


@pytest.mark.parametrize(("records", "count"), [(7, 4), (7, 8), (7, 7), (3, 0)])
def test_users_with_too_little_left_are_left_out(records: int, count: int) -> None:
    poor = item([record(n) for n in range(records)])
    with pytest.raises(InputError, match=f"no user has 4 records .* before the {count} newest: ask for fewer"):
        newest_held_out([poor], count)
    rich = item([record(n, user="bo") for n in range(12)], "bo")
    assert {one.user for one in newest_held_out([poor, rich], count)} == {"bo"}
    if records - count in range(1, 4):
        assert newest_held_out([poor], count, fewest=records - count)


def test_what_is_fitted_on_holds_nothing_of_anything_asked() -> None:
    asked = newest_held_out([item([record(n) for n in range(12)])], 2)
    title = asked[1].answer
    others = [
        record(20, user="cy"),
        record(21, user="cy", reply=f"{title}."),  # a paper of two authors
        record(22, user="cy", text=asked[2].request.query),
        record(23, user="cy", text="What the mayor said about the new bridge over the river."),
        record(24, user="cy"),
    ]
    assert [one.id for one in without_asked(others, asked)] == ["cy20", "cy24"]
