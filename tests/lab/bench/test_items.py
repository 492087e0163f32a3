"""Items are checked, and users are split for good."""

import pytest

from penchant.errors import InputError
from penchant.history.records import Request
from penchant_lab.bench.items import Item, in_part, limited, part_of
from tests.lab.cases import history, items


def test_an_answer_must_be_one_of_the_choices() -> None:
    with pytest.raises(InputError, match="none of its 2 choices"):
        Item("a", history(), Request("Which?"), "c", ("a", "b"))
    with pytest.raises(InputError, match="1 values for 2 choices"):
        Item("a", history(), Request("Which?"), "a", ("a", "b"), (1.0,))


def test_users_are_split_in_two_and_stay_together() -> None:
    users = [f"user-{n}" for n in range(200)]
    all_items = items(users)
    tune, test = in_part(all_items, "tune"), in_part(all_items, "test")
    assert {i.user for i in tune}.isdisjoint(i.user for i in test)
    assert len(tune) + len(test) == len(all_items) == len(in_part(all_items, "all"))
    assert 150 < len(tune) < 250
    # By a hash of the name: the same on any machine, in any order.
    assert [part_of(user) for user in ("1", "2", "ines", "tomas")] == ["test", "tune", "test", "test"]


def test_a_limit_spreads_evenly() -> None:
    some = items(("a", "b", "c"))
    assert [one.id for one in limited(some, 3)] == ["a/0", "b/0", "c/1"]
    assert limited(some, None) == limited(some, 99) == some
    with pytest.raises(InputError, match="at least 1"):
        limited(some, 0)
