import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from penchant.history.records import History, Record, Request
from penchant.history.segmentation import segment
from penchant.marking.dated import EARLY, LATE, ORDER_WEIGHT, OUTSIDE, WEIGHT, dated, last_time, nearness
from penchant.marking.heatmap import heatmap_html
from penchant.marking.marks import Marker, Marks
from penchant.marking.recency import recency
from penchant.personalizer import Personalizer
from tests.index.cases import lens_of

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)


def history(*days: int | None) -> History:
    """Records so many days before now, each named by its days; None: without a time."""
    return History(
        Record(f"thing {day}", id=str(day), when=None if day is None else NOW - timedelta(days=day)) for day in days
    )


def scored(*scores: float) -> Marker:
    return lambda _, __, segments: Marks(tuple(segments), np.array(scores, dtype=np.float32), "fixed")


def marked(query: str, known: History, *scores: float, **options: float) -> Marks:
    return dated(scored(*scores), **options)(known, Request(query, now=NOW), segment(known, "record"))  # type: ignore[arg-type]


def test_records_of_the_time_come_first_and_say_why() -> None:
    known = history(100, 16, 13, 8, 1)
    marks = marked("What did I do last week?", known, 0.0, 1.0, 0.0, 0.0, 0.0)
    assert [known[int(at)].id for at in marks.ranked()[:1]] == ["8"]
    deviation = np.std([0, 1, 0, 0, 0])
    assert marks.scores[3] == pytest.approx(WEIGHT * deviation)  # Monday 11 to Sunday 17 May
    assert marks.scores[0] == pytest.approx(0.0, abs=1e-6)
    early = OUTSIDE * np.exp(-3.5 / EARLY)  # told 3.5 days before
    assert marks.scores[2] == pytest.approx(WEIGHT * deviation * early, rel=1e-5)
    assert marks.scores[4] == pytest.approx(WEIGHT * deviation * OUTSIDE * np.exp(-1.5 / LATE), rel=1e-5)
    assert [str(one) for one in marks.dates] == ["“last week” (2026-05-11 to 2026-05-17)"]
    page = heatmap_html(known, Request("What did I do last week?"), marks)
    assert "2026-05-11 to 2026-05-17" in page


def test_what_was_told_after_the_time_weighs_more_than_what_was_told_before() -> None:
    known = history(80, 75, 70)  # the day is the middle one
    day = f"{NOW - timedelta(days=75):%d %B %Y}"
    scores = marked(f"What did I do on {day}?", known, 0.0, 0.0, 0.0).scores
    assert scores[1] == pytest.approx(WEIGHT) and scores[0] < scores[2] < scores[1]


@pytest.mark.parametrize(
    ("query", "known"),
    [
        ("What did I do last week?", history(400, 300)),  # nothing near it
        ("What did I do last week?", history(None, None)),
        ("What did I do last week?", history(9, 9)),  # nothing to tell apart
        ("Who may I call in the second hour?", history(9, 1)),
        ("What is planned for 5 June 2030?", history(9, 1)),
        ("What did I do most recently?", history(None, None)),
    ],
)
def test_marks_stay_as_they_are_without_a_date_that_tells_records_apart(query: str, known: History) -> None:
    plain = scored(0.5, 0.25)
    segments = segment(known, "record")
    marks = dated(plain)(known, Request(query, now=NOW), segments)
    assert marks.scores.tolist() == [0.5, 0.25] and marks.dates == () and marks.seconds == {}


def test_an_order_decides_among_what_matches_about_as_well() -> None:
    known = history(400, 300, 200, 100)
    latest = marked("Which film did I see most recently?", known, 1.0, 0.0, 1.0, 0.0)
    assert [known[int(at)].id for at in latest.ranked()[:2]] == ["200", "400"]
    earliest = marked("What was the first film I saw? I mean for the first time.", known, 1.0, 0.0, 1.0, 0.0)
    assert [known[int(at)].id for at in earliest.ranked()[:2]] == ["400", "200"]
    assert latest.dates[0].order == "last" and earliest.dates[0].order == "first"
    total, _ = nearness(known, segment(known, "record"), latest.dates)
    assert total.tolist() == pytest.approx([ORDER_WEIGHT * share for share in (0.25, 0.5, 0.75, 1.0)])


def test_weight_nothing_and_records_without_a_time() -> None:
    known = history(None, 9, 300)
    segments = segment(known, "record")
    request = Request("What did I do last week?", now=NOW)
    assert dated(scored(1.0, 0.0, 0.0), weight=0)(known, request, segments).scores.tolist() == [1.0, 0.0, 0.0]
    moved = dated(scored(0.0, 0.0, 0.0))(known, request, segments)
    at = {one.record_id: score for one, score in zip(segments, moved.scores.tolist(), strict=True)}
    assert at["None"] == at["300"] == 0.0 < at["9"]


def test_now_is_the_requests_or_the_clocks() -> None:
    known = history(9, 1)
    segments = segment(known, "record")
    later = NOW + timedelta(days=7)
    ask = "What did I do last week?"
    by_request = dated(scored(0.0, 0.0))(known, Request(ask, now=later), segments)
    by_clock = dated(scored(0.0, 0.0), clock=lambda _: later)(known, Request(ask), segments)
    assert by_request.scores.tolist() == by_clock.scores.tolist()
    assert by_request.scores[1] > by_request.scores[0]
    assert last_time(known) == NOW - timedelta(days=1)


def test_any_marker_and_the_switch() -> None:
    loaded = lens_of().loaded
    known = history(9, 1)
    request = Request("What did I do on 11 May 2026?", now=NOW)
    for dates in (True, False):
        marks = Personalizer(loaded, marker="recency", dates=dates).mark(known, request)
        assert bool(marks.dates) is dates
        assert bool(marks.scores[0] > marks.scores[1]) is dates
    assert recency()(known, request, segment(known)).dates == ()


def test_a_request_without_a_date_costs_nothing_to_speak_of() -> None:
    known = history(*range(300))
    segments = segment(known, "record")
    marker = dated(scored(*[0.0] * 300))
    marker(known, Request("Who may I call?"), segments)
    began = time.perf_counter()
    for _ in range(20):
        marker(known, Request("Who is the landlord of my second flat, and may I call him?"), segments)
    assert (time.perf_counter() - began) / 20 < 0.05
