from datetime import UTC, datetime

import pytest

from penchant.compression.layout import check_segments, lay_out
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


def test_marks_of_another_history_are_refused() -> None:
    history = history_of("One.")
    check_segments(history, whole_records(history))
    for stranger in (Segment(1, "x", 0, 4, "One."), Segment(0, "0", 0, 4, "Two."), Segment(0, "0", 1, 5, "One.")):
        with pytest.raises(InputError, match="another history"):
            check_segments(history, [stranger])
