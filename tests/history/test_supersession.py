import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penchant.history.records import History, Record
from penchant.history.supersession import superseded

FIRST = datetime(2026, 3, 1, tzinfo=UTC)


def said(name: str, day: int, about: Any, value: Any = None, *, ended: bool = False, kind: str = "said") -> Record:
    meta = {key: what for key, what in (("about", about), ("value", value), ("ended", ended)) if what}
    return Record(f"record {name}", id=name, when=FIRST + timedelta(days=day), kind=kind, meta=meta)


def test_the_newest_stands_and_each_is_followed_by_the_next() -> None:
    places = [
        said("c", 3, "residence", "berlin"),
        said("a", 1, "residence", "ghent"),
        said("b", 2, "residence", "cork"),
    ]
    assert superseded(History(places)) == {"a": "b", "b": "c"}
    assert superseded(History(places[1:])) == {"a": "b"}
    assert superseded(History(places[::2])) == {"b": "c"}
    assert superseded(History([places[0], places[1]])) == {"a": "c"}


def test_what_agrees_stands_side_by_side_and_goes_together() -> None:
    same = [
        said("a", 1, "residence", "berlin"),
        said("b", 2, "residence", "berlin germany"),
        said("c", 3, "residence", "berlin"),
    ]
    assert superseded(same) == {}
    assert superseded([*same, said("d", 4, "residence", "cork")]) == {"a": "d", "b": "d", "c": "d"}


def test_topics_kinds_and_statements_without_a_value_are_left_alone() -> None:
    assert superseded([said("a", 1, "boss", "kim"), said("b", 2, "dentist", "voss")]) == {}
    assert superseded([said("a", 1, "boss", "kim"), said("b", 2, "boss")]) == {}
    assert superseded([said("a", 1, "boss", "kim"), said("b", 2, "boss", "voss", kind="note")]) == {}
    assert superseded([said("a", 1, None, "kim"), said("b", 2, None, "voss")]) == {}
    assert superseded([said("a", 1, "boss", 7), said("b", 2, ["boss"], "voss"), said("c", 3, "boss", "!?")]) == {}


def test_what_is_over() -> None:
    works = said("a", 1, "employer", "siemens")
    left = said("b", 2, "employer", "siemens", ended=True)
    assert superseded([works, left]) == {"a": "b"}
    assert superseded([works, said("b", 2, "employer", "bosch", ended=True)]) == {}
    assert superseded([works, said("b", 2, "employer", ended=True)]) == {"a": "b"}
    # It stays over when something else begins, and no longer when the same begins again.
    assert superseded([works, left, said("c", 3, "employer", "bosch")]) == {"a": "b"}
    assert superseded([works, left, said("c", 3, "employer", "siemens")]) == {"a": "b", "b": "c"}
    assert superseded([said("a", 1, "car", ended=True), said("b", 2, "car", "skoda")]) == {"a": "b"}


@given(
    st.lists(
        st.tuples(st.sampled_from(["x", "y"]), st.sampled_from([None, "a", "b", "a b", "c"]), st.booleans()),
        max_size=12,
    ),
)
def test_forgetting_is_as_if_it_had_never_been_said(claims: list[tuple[str, str | None, bool]]) -> None:
    records = [said(str(i), i, about, value, ended=ended) for i, (about, value, ended) in enumerate(claims)]
    found = superseded(History(records))
    order = {record.id: i for i, record in enumerate(records)}
    assert all(order[old] < order[new] for old, new in found.items())
    if records:
        last = records[-1]
        assert last.id not in found
        without = superseded(History(records[:-1]))
        assert without == {old: new for old, new in found.items() if new != last.id}
    for about in ("x", "y"):
        values = [set(r.meta["value"].split()) for r in records if r.id not in found and not r.meta.get("ended")
                  and r.meta.get("about") == about and "value" in r.meta]  # fmt: skip
        assert all(a <= b or b <= a for a in values for b in values)


@pytest.mark.parametrize("ended", [True, False])
def test_a_long_history_takes_linear_time(ended: bool) -> None:
    records = [said(str(i), 0, "employer", f"firm {i if ended else 1}", ended=ended) for i in range(20_000)]
    began = time.perf_counter()
    assert superseded(records) == {}
    assert time.perf_counter() - began < 5
