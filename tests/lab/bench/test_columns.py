import json
import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from penchant_lab.bench.columns import rounded, to_columns
from penchant_lab.bench.rows import Row

ROWS = [
    Row("fusion", "a/1", "a", 0, "2%", "1", 40, 38, 2000, None, 90, 12, 0.25, True, 0.5, 1.25, {"f1": 0.5}, 3.0, 4.0),
    Row("fusion", "a/2", "a", 0, "2%", "1", 40, 40, 2000, loss=0.1, metrics={"f1": 1.0, "em": 0.0}, recall=1.0),
    Row("none", "a/1", "a", 0, "", error="the window is too short"),
]


def from_columns(document: Mapping[str, Any]) -> list[Row]:
    """Rows as a reader of a results file would rebuild them: nothing is lost."""
    columns = {
        name: [given["of"][at] for at in given["at"]] if isinstance(given, dict) else given
        for name, given in document["columns"].items()
    }
    assert {len(values) for values in columns.values()} <= {document["count"]}
    known = {one.name for one in fields(Row)}
    rows = []
    for at in range(document["count"]):
        here = {name: values[at] for name, values in columns.items()}
        metrics = {name.removeprefix("metrics."): value for name, value in here.items() if name not in known}
        kept = {name: value for name, value in metrics.items() if value is not None}
        rows.append(Row(**{name: value for name, value in here.items() if name in known}, metrics=kept))
    return rows


def test_round_trip_through_json() -> None:
    document = json.loads(json.dumps(to_columns(ROWS), allow_nan=False))
    assert from_columns(document) == ROWS
    assert from_columns(to_columns([])) == []


def test_columns_at_their_default_are_left_out_and_text_is_coded() -> None:
    columns = to_columns(ROWS)["columns"]
    assert columns["method"] == {"of": ["fusion", "none"], "at": [0, 0, 1]}
    assert columns["error"] == {"of": [None, "the window is too short"], "at": [0, 0, 1]}
    assert columns["metrics.em"] == [None, 0.0, None]
    assert "fallback" not in columns and "auc" not in columns and "kept" not in columns
    assert "seed" in columns  # it has no default, so a reader couldn't know it
    kept = to_columns([replace(ROWS[0], fallback=True), ROWS[1]])["columns"]
    assert kept["fallback"] == [True, False]


def test_zero_is_not_taken_for_missing() -> None:
    rows = [replace(ROWS[1], loss=0.0, recall=0.0, kept=0.0)]
    assert from_columns(to_columns(rows)) == rows


def test_five_digits_and_nothing_that_json_cannot_hold() -> None:
    assert rounded({"a": [1 / 3, 123456.7, 7], "b": math.nan, "c": (math.inf, None)}) == {
        "a": [0.33333, 123460.0, 7],
        "b": None,
        "c": [None, None],
    }
    (row,) = from_columns(to_columns([replace(ROWS[1], loss=math.nan, seconds=1 / 3, tokens=1234567)]))
    assert row.loss is None and row.seconds == 0.33333 and row.tokens == 1234567


def test_columns_cost_a_fraction_of_rows() -> None:
    rows = [replace(ROWS[1], item=f"a/{at}", loss=math.pi * at) for at in range(200)]
    assert len(json.dumps(to_columns(rows))) < 0.2 * len(json.dumps([row.to_json() for row in rows]))
