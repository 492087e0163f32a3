"""Whose items stand in a prompt: never the user's own, never the answer itself, the same for the same seed."""

from collections import Counter

import pytest

from penchant.errors import InputError
from penchant.history.records import Record, Request
from penchant.steering.data.pairs import Donors, Pair, donors_from, notes_of
from penchant.store import Store

PAIR = Pair(Request("my input"), "my answer", "r")


def records(user, count):
    return [Record(f"text {user} {n}", id=f"{user}{n}", reply=f"reply {user} {n}") for n in range(count)]


def test_items_are_of_others_each_of_another_as_long_as_there_are():
    donors = Donors({user: records(user, 4) for user in "abcdefg"})
    drawn = [donors.draw("a", PAIR, 5, f"seed {n}") for n in range(60)]
    assert all(len({user for user, _ in items}) == 5 for items in drawn)
    counts = Counter(user for items in drawn for user, _ in items)
    assert set(counts) == set("bcdefg")
    assert min(counts.values()) > 30  # of 50 expected
    assert len({record.id for items in drawn for _, record in items}) > 20
    assert all(record.id.startswith(user) for items in drawn for user, record in items)


def test_the_same_seed_draws_the_same():
    others = {user: records(user, 9) for user in "abcdefg"}
    backwards = dict(reversed(others.items()))
    first = Donors(others).draw("a", PAIR, 5, "s")
    assert first == Donors(backwards).draw("a", PAIR, 5, "s") != Donors(others).draw("a", PAIR, 5, "t")


def test_few_users_give_several_and_no_item_twice():
    items = Donors({"b": records("b", 3), "c": records("c", 1), "a": records("a", 5)}).draw("a", PAIR, 9, "s")
    assert sorted(record.id for _, record in items) == ["b0", "b1", "b2", "c0"]
    assert Donors({"a": records("a", 2)}).draw("a", PAIR, 5, "s") == []


def test_what_would_give_the_answer_away_is_left_out():
    same = [Record("other", id="1", reply=" my answer"), Record(" my input", id="2", reply="other")]
    assert Donors({"b": same}).draw("a", PAIR, 5, "s") == []
    assert [r.id for _, r in Donors({"b": [*same, *records("b", 1)]}).draw("a", PAIR, 5, "s")] == ["b0"]


def test_no_items_at_all_is_an_error():
    with pytest.raises(InputError, match="none of 2 other users has a record with a text and a reply"):
        Donors({"b": [Record("no reply")], "c": []})


def test_notes_are_the_items_in_short():
    items = [("b", Record("one two three", reply="four five six")), ("c", Record("x", reply="y"))]
    assert notes_of(items, 2) == "one two\nfour five\n\nx\ny"


def test_a_store_gives_other_users_items(tmp_path):
    with Store(tmp_path) as store:
        store.add_many((user, record) for user in "abcdef" for record in [*records(user, 8), Record(f"note {user}")])
        donors = donors_from(store, "a", users=3, records=4)
        items = donors.draw("a", PAIR, 99, "s")
        assert len(items) == 12
        assert len({user for user, _ in items} - {"a"}) == 3
        assert items == donors_from(store, "a", users=3, records=4).draw("a", PAIR, 99, "s")
        assert {u for u, _ in donors_from(store, "a", users=3, seed=1).draw("a", PAIR, 99, "s")} != {
            u for u, _ in items
        }
        assert len(donors_from(store, "a").draw("a", PAIR, 99, "s")) == 5 * 8
