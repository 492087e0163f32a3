from penchant.marking.resources import Resources
from penchant.text.dates import time_expressions
from penchant_lab.dates import finding
from penchant_lab.dates.moving import Moved, Question, moves
from penchant_lab.dates.planted import NOW, WORDS, planted
from tests.index.cases import lens_of


def test_what_is_planted_is_told_apart_by_its_date_alone() -> None:
    asked = planted()
    assert {one.language for one in asked} == set(WORDS) and len({one.history.user for one in asked}) == 20
    for one in asked:
        known = {record.id: record for record in one.history}
        assert one.evidence and all(name in known for name in one.evidence)
        assert 0 < len(one.evidence) < len(one.history) / 3
        if one.kind in ("day", "month", "season", "last week", "two weeks ago"):
            found = time_expressions(one.request.query, NOW, language=one.language)
            periods = [(time.start, time.end) for time in found if time.start and time.end]
            for name in one.evidence:
                when = known[name].when
                assert when is not None and any(start <= when < end for start, end in periods), one.request.query

    def told(seed: int) -> list[tuple[str, tuple[str, ...]]]:
        return [(one.request.query, one.evidence) for one in planted(seed)]

    assert told(0) == [(one.request.query, one.evidence) for one in asked] != told(1)


def test_figures_count_what_dates_move() -> None:
    asked = [one for one in planted() if one.history.user == "en-0-0"]
    questions = [Question(one.kind, one.history, one.request, one.evidence) for one in asked]
    assert moves(questions) == len(questions)
    figures = Moved(("bm25",), Resources(lens_of().loaded)).measure(questions, 0.1)["bm25"]
    assert figures["day"]["with dates"] == 1.0 > figures["day"]["recall"]
    assert figures["all"]["questions"] == figures["all"]["moved"] == len(questions)
    assert figures["all"]["better"] > 5 and figures["all"]["worse"] == 0


def test_labelled_requests_are_in_order() -> None:
    rows = finding.read()
    assert len({row.text for row in rows}) == len(rows) >= 70
    assert sum(not row.dates for row in rows) >= 20
    figures = finding.measure([finding.Labelled("en", "tune", "What did I do last week?", ("2026-05-11..2026-05-18",))])
    assert figures["tune"]["en"]["precision"][0] == figures["tune"]["en"]["recall"][0] == 1.0
