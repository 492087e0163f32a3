"""A German chat in small letters is cut like one with capitals."""

from penchant.history.segmentation import segment
from penchant_lab.small_letters.__main__ import german


def test_units_stay_small_without_capitals() -> None:
    lengths = {small: [len(one.text) for one in segment(german(small)[0])] for small in (False, True)}
    assert len(german(True)[0]) == 15 and min(len(record.text) for record in german(True)[0]) > 250
    assert len(lengths[True]) > 0.9 * len(lengths[False])
    assert max(lengths[True]) < 1.5 * max(lengths[False])


def test_each_question_is_answered_by_one_piece() -> None:
    history, asked = german(True)
    assert len(asked) == 22
    for one in asked:
        assert sum(one.part in record.text for record in history) == 1
        assert one.query == one.query.lower() and one.part not in one.query
