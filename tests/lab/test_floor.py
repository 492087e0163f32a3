"""The measurement of the floor: stretches of a history around their evidence, and what each floor keeps of it."""

import pytest

from penchant import History, Record, Request
from penchant.progress import no_progress
from penchant_lab.small.floor import FLOORS, Case, measure, stretches, summary, table
from tests.index.cases import texts
from tests.test_personalizer import personalizer_of


@pytest.mark.parametrize(
    ("evidence", "size", "span"),
    [
        (["r5"], 4, range(3, 7)),
        (["r0"], 4, range(0, 4)),
        (["r9"], 4, range(6, 10)),
        (["r3", "r6"], 4, range(3, 7)),
        (["r3", "r7"], 4, None),
        (["gone"], 4, None),
        (["r5"], 11, None),
    ],
)
def test_a_stretch_holds_its_evidence(evidence: list[str], size: int, span: range | None) -> None:
    history = History([Record(f"text {number}", id=f"r{number}") for number in range(10)])
    assert stretches(history, evidence, size) == span


def test_a_larger_floor_keeps_more() -> None:
    history = History([Record(text, id=f"r{number}") for number, text in enumerate(texts(20, 3))])
    cases = [
        Case("made up", half, f"c{number}", 20, history, Request(history[number].text), (f"r{number}",), answer)
        for number, (half, answer) in enumerate([("tune", "Yes."), ("test", None)])
    ]
    rows = measure(personalizer_of(unit="record"), cases, no_progress)
    assert [row["floor"] for row in rows] == [*FLOORS, *FLOORS]
    for row in rows:
        assert row["tokens"] <= max(row["floor"], row["history_tokens"] // 50, 1)
        assert (row["loss"] is None) == (row["half"] == "test")
    kept = [sum(row["recall"] for row in rows if row["floor"] == floor) for floor in FLOORS]
    assert kept == sorted(kept) and kept[-1] == 2
    page = table({"model": "tiny", "summary": summary(rows)})
    assert "| made up | tune | 20 | 1 |" in page
