import pytest

from penchant.evaluation.protocol import Measurement
from penchant.evaluation.report import by_history, differences, markdown, summarise


def _row(history: str, question: int, recall: float, *, cold: bool = False) -> Measurement:
    seconds, fed = (4.0, 1000) if cold else (0.5, 10)
    return Measurement(history, question, 1, 0.5 + recall / 2, recall / 2, recall, seconds, fed, cold)


GOOD = [_row("a", 0, 1.0, cold=True), _row("a", 1, 0.5), _row("b", 0, 1.0, cold=True), _row("b", 1, 1.0)]
POOR = [_row("a", 1, 0.5, cold=True), _row("b", 1, 0.0, cold=True)]
RESULTS = {"good": GOOD, "poor": POOR}


def test_summary_by_hand() -> None:
    summary = summarise(RESULTS)
    assert summary["good"]["questions"] == 4
    assert summary["good"]["recall_at_budget"]["mean"] == 0.875
    assert summary["good"]["recall_at_10"]["mean"] == 0.4375
    assert summary["good"]["auc"]["mean"] == 0.9375
    assert summary["good"]["cold"] == {"seconds": 4.0, "tokens_fed": 1000.0}
    assert summary["good"]["warm"] == {"seconds": 0.5, "tokens_fed": 10.0}
    assert summary["poor"]["warm"] == {"seconds": None, "tokens_fed": None}


def test_histories_by_themselves() -> None:
    each = by_history(RESULTS)
    assert list(each) == ["a", "b"]
    assert each["a"]["good"]["recall_at_budget"]["mean"] == 0.75
    assert each["b"]["poor"]["recall_at_budget"]["mean"] == 0.0
    assert list(by_history({"good": GOOD, "poor": POOR[:1]})["b"]) == ["good"]


def test_differences_pair_the_same_questions_only() -> None:
    (found,) = differences(RESULTS, [("good", "poor"), ("good", "absent")])
    assert found["of"] == ["good", "poor"]
    assert found["questions"] == 2  # the second of each history; the means of all would differ by 0.625
    assert found["recall_at_budget"] == {"mean": 0.5, "low": 0.0, "high": 1.0}
    assert found["by_history"]["a"]["recall_at_budget"]["mean"] == 0.0
    assert found["by_history"]["b"]["recall_at_budget"]["mean"] == 1.0


def test_differences_without_common_questions_are_none() -> None:
    (found,) = differences({"good": GOOD[:1], "poor": POOR}, [("good", "poor")])
    assert (found["questions"], found["auc"]) == (0, None)


def test_tables() -> None:
    document = {
        "histories": {"a": {}, "b": {}},
        "markers": summarise(RESULTS),
        "differences": differences(RESULTS, [("good", "poor")]),
        "by_history": by_history(RESULTS),
    }
    lines = markdown(document).splitlines()
    good = next(line for line in lines if line.startswith("| good |"))
    assert "| 4 |" in good
    assert "0.875 [" in good
    assert good.endswith("| 4.000 | 0.500 | 1,000 | 10 |")
    assert next(line for line in lines if line.startswith("| poor |")).endswith("| – | 1,000 | – |")
    assert "| good − poor | 2 |" in markdown(document)
    assert "+0.500 [+0.000, +1.000]" in markdown(document)
    assert lines[-2:] == ["| good | 0.750 | 1.000 |", "| poor | 0.500 | 0.000 |"]
    tables = markdown(document).split("\n\n")
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_no_pair_no_table() -> None:
    document = {"histories": {}, "markers": summarise(RESULTS), "differences": [], "by_history": {}}
    assert "difference" not in markdown(document)
    assert summarise({"good": GOOD}, seed=1)["good"]["auc"]["mean"] == pytest.approx(0.9375)
