from datetime import UTC, datetime

import pytest

from penchant.compression import layout
from penchant.compression.layout import check_segments, lay_out, validity_notes
from penchant.errors import InputError
from penchant.history.records import History, Record, Segment
from tests.compression.cases import history_of, whole_records


def seg(history: History, record: int, start: int, end: int) -> Segment:
    body = history[record].body
    return Segment(record, history[record].id, start, end, body[start:end])


def test_records_of_a_day_stand_under_it() -> None:
    day, later = datetime(2023, 5, 8, 13, tzinfo=UTC), datetime(2023, 5, 8, 20, tzinfo=UTC)
    history = History(
        [Record("One.", when=day), Record("Two.", when=later), Record("Three.", when=datetime(2024, 1, 31))]
    )
    segments = whole_records(history)
    assert lay_out(history, segments) == "8 May 2023:\nOne.\nTwo.\n31 January 2024:\nThree."
    assert lay_out(history, segments[::-1]) == lay_out(history, segments)
    assert lay_out(history, segments, dates=False) == "One.\nTwo.\nThree."


def test_undated_records_do_not_inherit_a_day() -> None:
    history = History([Record("Old."), Record("Dated.", when=datetime(2023, 5, 8)), Record("New.")])
    assert lay_out(history, whole_records(history)) == "Old.\n8 May 2023:\nDated.\nUndated:\nNew."


def test_neighbours_join_as_in_the_source_and_gaps_show() -> None:
    history = history_of("First one.  Second one.\nThird one. Fourth.", dated=False)
    first, second, fourth = seg(history, 0, 0, 10), seg(history, 0, 12, 23), seg(history, 0, 35, 42)
    assert lay_out(history, [first, second]) == "First one.  Second one."
    assert lay_out(history, [first, fourth]) == "First one. … Fourth."
    assert lay_out(history, [seg(history, 0, 0, 15), seg(history, 0, 10, 23)]) == "First one.  Second one."


def test_labels_replies_and_blanks() -> None:
    history = History(
        [
            Record("Dune", label=4.5, id="a"),
            Record("Solaris", label="liked\nit", id="b"),
            Record("Question?", reply="Answer.", id="c", label=5),
            Record("  x  ", id="d"),
        ]
    )
    text = "(rating 4.5) Dune\n(liked it) Solaris\n(rating 5) Question?\nAnswer.\nx"
    assert lay_out(history, whole_records(history)) == text
    assert lay_out(history, [seg(history, 3, 0, 2)]) == ""
    assert lay_out(history, []) == ""


def told(text: str, name: str, day: int | None, **meta: object) -> Record:
    when = datetime(2026, 5, day) if day else None
    return Record(text, id=name, when=when, kind="said", meta={"about": "dentist", **meta})


def test_what_was_replaced_says_until_when_and_what_stands_says_so() -> None:
    old = told("My dentist is Dr. Lee.", "a", 1, value="lee")
    new = told("My dentist is Dr. Voss.", "b", 3, value="voss")
    other = Record("My dentist is Dr. Lee, I wrote.", id="n", when=datetime(2026, 5, 2))
    history = History([old, new, other])
    text = (
        "1 May 2026:\n(until 3 May 2026) My dentist is Dr. Lee.\n2 May 2026:\nMy dentist is Dr. Lee, I wrote.\n"
        "3 May 2026:\n(current) My dentist is Dr. Voss."
    )
    assert lay_out(history, whole_records(history)) == text
    assert lay_out(history, whole_records(history)[:1]) == "1 May 2026:\n(until 3 May 2026) My dentist is Dr. Lee."
    bare = lay_out(history, whole_records(history)[::2], dates=False)
    assert bare == "(no longer) My dentist is Dr. Lee.\n(current) My dentist is Dr. Voss."
    # The newest forgotten, the one before it stands as if nothing had been.
    left = History([old, other])
    assert lay_out(left, whole_records(left)[:1]) == "1 May 2026:\nMy dentist is Dr. Lee."
    third = told("It's Dr. Kim now.", "c", None, value="kim", ended=False)
    history = History([old, new, third])
    assert validity_notes(history) == {"a": "(until 3 May 2026) ", "b": "(no longer) ", "c": "(current) "}
    labelled = Record("My dentist is Dr. Lee.", id="a", label=4, kind="said", meta=old.meta)
    assert lay_out(History([labelled, third]), whole_records(History([labelled]))) == (
        "(no longer) (rating 4) My dentist is Dr. Lee."
    )


def test_a_large_history_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(Record("x", id=str(i), kind="said" if i % 2 else None) for i in range(2_000))
    looks: list[int] = []
    real = layout.superseded
    monkeypatch.setattr(layout, "superseded", lambda records: looks.append(1) or real(records))
    for _ in range(3):
        lay_out(history, whole_records(history)[:5])
    assert looks == [1]


def test_marks_of_another_history_are_refused() -> None:
    history = history_of("One.")
    check_segments(history, whole_records(history))
    for stranger in (Segment(1, "x", 0, 4, "One."), Segment(0, "0", 0, 4, "Two."), Segment(0, "0", 1, 5, "One.")):
        with pytest.raises(InputError, match="another history"):
            check_segments(history, [stranger])
