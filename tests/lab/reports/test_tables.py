from typing import Any

import pytest

from penchant_lab.bench.verdict import at, figure, short
from penchant_lab.reports import tables
from tests.lab.synthetic import document, rows


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return document(rows(120, 20))


def _column(table: tables.Table, name: str) -> dict[str, str]:
    return {row[0]: row[table.head.index(name)] for row in table.rows}


def test_references(found: dict[str, Any]) -> None:
    table = tables.references(found)
    assert table is not None
    assert [row[0] for row in table.rows] == ["no history", "full history", "gold evidence"]
    assert _column(table, "of the history") == {"no history": "–", "full history": "37 %", "gold evidence": "–"}
    assert _column(table, "gain, nats")["full history"].startswith("−0.")
    assert _column(table, "prompt tokens")["full history"] == "7,560"
    assert tables.references(document(rows(12, 2, methods=["bm25"]))) is None


def test_a_table_of_methods_for_each_budget(found: dict[str, Any]) -> None:
    each = tables.methods(found)
    assert [table.title for table in each] == ["At 1 %: quality", "At 2 %: quality", "At 5 %: quality"]
    for table in each:
        assert len(table.rows) == 9
        assert {len(row) for row in table.rows} == {len(table.head)}
        assert [table.rows[place][0] for place in table.strong] == ["fusion"]
        assert _column(table, "items") == {row[0]: "40" if row[0] == "rewriting" else "120" for row in table.rows}
    assert each[0].head[2] == "token F1"  # the headline is first
    assert "share of full's gain" not in each[0].head
    (note,) = each[0].notes
    assert note.startswith("No share: the full history does not help here: its gain is −0.")
    cell = next(one for one in found["summary"]["cells"] if (one["method"], one["asked"]) == ("fusion", "2%"))
    assert _column(each[1], "gain, nats")["fusion"] == figure(cell["gain"], "+")
    assert _column(each[1], "share of gold's gain")["fusion"] == figure(cell["share_of_gold"], percent=True)


def test_a_reason_is_given_once_whatever_its_numbers() -> None:
    changed = document(rows(120, 20))
    cells = [cell for cell in changed["summary"]["cells"] if cell["asked"] == "1%"]
    for count, cell in enumerate(cells):
        cell["share_of_gold"] = {"mean": None, "reason": f"too few items ({count} items) to say: it takes 6"}
    first, *_ = tables.methods(changed)
    assert [note for note in first.notes if "too few" in note] == [
        "No share: too few items (0 items) to say: it takes 6."
    ]


def test_differences_carry_their_judgement(found: dict[str, Any]) -> None:
    first, *_ = tables.differences(found)
    assert first.title == "At 1 %: fusion minus the others"
    losses = _column(first, "loss, nats")
    assert losses["no history"].endswith("] ✓") and losses["gold evidence"].endswith("] ✗")
    assert _column(first, "items in common")["rewriting"] == "40"
    assert tables.differences(document(rows(12, 2, methods=["none"]))) == []


def test_costs(found: dict[str, Any]) -> None:
    table = tables.costs(found)
    assert len(table.rows) == 3 + 9 * 3
    assert _column(table, "budget")["fusion, 2%"] == "400" and _column(table, "budget")["full history"] == "–"
    assert _column(table, "over budget")["fusion, 2%"] == "0"
    assert _column(table, "fed warm")["fusion, 2%"] == "15" and _column(table, "tokens")["no history"] == "0"
    assert (
        _column(table, "peak memory")["no history"] == "1 GiB"
        and _column(table, "stored a user")["full history"] == "1 MiB"
    )
    assert all(0.0 < float(_column(table, "s warm")[f"bm25, {asked}"]) < 0.01 for asked in found["budgets"])


def test_categories(found: dict[str, Any]) -> None:
    loss, headline = tables.categories(found)
    assert loss.title == "Loss, nats by category (items)" and headline.title == "Token F1 by category (items)"
    assert loss.head == ("method", "1 (30)", "2 (30)", "3 (30)", "4 (30)")
    assert len(loss.rows) == 3 + 9 * 3
    few, _ = tables.categories(found, ["2%"])
    assert [row[0] for row in few.rows][2:4] == ["gold evidence", "recent, 2%"] and len(few.rows) == 12


def test_differences_in_every_category(found: dict[str, Any]) -> None:
    *losses, first, _, _ = tables.category_differences(found)
    assert [table.title for table in losses] == [
        f"At {budget} %: fusion minus the others by category: loss, nats" for budget in (1, 2, 5)
    ]
    assert first.title == "At 1 %: fusion minus the others by category: token F1"
    assert first.head == ("minus", "1 (30)", "2 (30)", "3 (30)", "4 (30)")
    assert {"no history", "full history", "bm25"} <= {row[0] for row in first.rows}
    assert all(cell[-1] in "✓✗≈?" for row in first.rows for cell in row[1:])
    loss, _ = tables.category_differences(found, ["2%"])
    assert loss == losses[1]


def test_setting_says_what_must_be_known(found: dict[str, Any]) -> None:
    setting = dict(tables.setting(found))
    assert setting["Intervals"].startswith("95 %, bootstrap of users, 1,000 resamples, seed 0")
    assert setting["Revision"] == "0123456789ab, with changes"
    assert "calibration smollm2-135m" in setting["Model details"] and "bm25s" not in setting["Versions"]
    bare = {**found, "git": None, "versions": None, "machine": None}
    assert dict(tables.setting(bare))["Revision"] == "unknown"


def test_numbers_as_people_write_them() -> None:
    numbers = (None, 0.0, 0.12345, -1.2345, 12.345, 1234.5, -0.0001)
    assert [short(value) for value in numbers] == ["–", "0.000", "0.123", "−1.23", "12.3", "1,234", "0.000"]
    assert [short(value, "+") for value in (0.5, -0.5, 0.0)] == ["+0.500", "−0.500", "0.000"]
    assert figure({"mean": 0.5, "low": 0.4, "high": 0.6}) == "0.500 [0.400, 0.600]"
    assert figure({"mean": 0.5, "low": None, "high": None}, "+") == "+0.500"
    assert figure({"mean": 0.694, "low": -0.004, "high": 0.75}, percent=True) == "69 % [0, 75]"
    assert figure({"mean": -0.1, "low": None, "high": None}, percent=True) == "−10 %"
    assert [at(some) for some in ([""], ["2%"], ["50", "2%"])] == ["Without a budget", "At 2 %", "At 50 tokens and 2 %"]
