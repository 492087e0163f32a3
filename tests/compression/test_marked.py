import pytest

from penchant.compression.budget import count_tokens
from penchant.compression.marked import MarkedHistory, important_segments, marked_history, rewrite_messages
from penchant.errors import InputError
from penchant.history.records import History, Record, Request
from penchant.marking.marks import Marks
from tests.compression.cases import history_of, marks_of, pieces, tokenizer_of, whole_records

TOKENIZER = tokenizer_of("bytes")


def tag(history: History, marks: Marks, room: int = 10_000, alpha: float = 0.3) -> MarkedHistory:
    return marked_history(
        history, marks, alpha=alpha, room=room, count=lambda t: count_tokens(TOKENIZER, t), tokenizer=TOKENIZER
    )


def test_threshold_is_a_share_of_the_highest_mark_after_shifting() -> None:
    history = history_of("a", "b", "c", "d")
    marks = marks_of(whole_records(history), [-1.0, 0.5, 1.1, 4.0])
    assert important_segments(marks, 0.4).tolist() == [False, False, True, True]
    assert important_segments(marks, 0.0).tolist() == [False, True, True, True]
    low = marks_of(whole_records(history), [-4.0, 0.5, 1.1, 4.0])
    assert important_segments(low, 0.6).tolist() == [False, False, True, True]
    assert important_segments(marks_of((), []), 0.3).tolist() == []
    for alpha in (-0.1, 1.0):
        with pytest.raises(InputError, match="alpha"):
            important_segments(marks, alpha)


def test_tags_stand_in_place_and_order() -> None:
    history = History([Record("One. Two. Tri. For. ", id="a", label=4), Record("Zed.", id="b")])
    segments = pieces(history, 5)
    marked = tag(history, marks_of(segments, [0, 9, 9, 0, 9]))
    assert marked.text == (
        "(rating 4) One. <start_important>Two. Tri. <end_important>For. \n<start_important>Zed.<end_important>"
    )
    assert marked.complete
    assert marked.important == (1, 2, 4)
    assert marked.shown == (0, 1, 2, 3, 4)


def test_days_and_gaps() -> None:
    history = history_of("One. Two. Tri. For. Fiv. ", "Zed.")
    segments = pieces(history, 5)
    marked = tag(history, marks_of(segments, [9, 0, 0, 0, 8, 0]))
    assert marked.complete
    assert marked.text.startswith("1 March 2024:\n<start_important>One. <end_important>Two. Tri. ")
    assert marked.text.endswith("\n2 March 2024:\nZed.")


def test_a_rewriter_sees_what_is_no_longer_true() -> None:
    history = History(
        Record(f"I live in {town}.", id=town, kind="said", meta={"about": "residence", "value": town})
        for town in ("Ghent", "Cork")
    )
    marked = tag(history, marks_of(whole_records(history), [0, 9]))
    assert marked.text == ("(no longer) I live in Ghent.\n(current) <start_important>I live in Cork.<end_important>")


def test_what_does_not_fit_leaves_the_best_and_their_neighbours() -> None:
    history = history_of(*(f"record {i} by the sea." for i in range(60)), dated=False)
    scores = [0.0] * 60
    scores[10], scores[40] = 5.0, 4.0
    marked = tag(history, marks_of(whole_records(history), scores), room=160)
    assert not marked.complete
    assert {9, 10, 11, 39, 40, 41} <= set(marked.shown)
    assert marked.important == (10, 40)
    assert list(marked.shown) == sorted(marked.shown)
    assert count_tokens(TOKENIZER, marked.text) <= 160
    assert "<start_important>record 10 by the sea.<end_important>\nrecord 11 by" in marked.text
    for room in range(60, 400, 11):
        assert count_tokens(TOKENIZER, tag(history, marks_of(whole_records(history), scores), room=room).text) <= room


def test_no_room_is_said() -> None:
    history = history_of("a long record about the sea")
    marks = marks_of(whole_records(history), [1.0])
    for room in (3, 0, -7):
        with pytest.raises(InputError, match="no marked segment fits"):
            tag(history, marks, room=room)


def test_messages_hold_history_task_request_and_limit() -> None:
    history = history_of("I like tea.", "I like the sea.", dated=False)
    marked = tag(history, marks_of(whole_records(history), [1.0, 0.0]))
    _, user = rewrite_messages(marked, Request("What now?", task="Answer in rhyme."), 77)
    for part in (
        marked.text,
        "Task: Answer in rhyme.",
        "Request: What now?",
        "at most 77 tokens",
        "This is my history",
    ):
        assert part in user["content"]
    partial = MarkedHistory(marked.text, marked.shown, marked.important, False)
    assert "most relevant parts of my longer history" in rewrite_messages(partial, Request("What?"), 77)[1]["content"]
