import json
import math
from dataclasses import replace

import pytest

from penchant.errors import InputError
from penchant_lab.bench.columns import from_columns, rounded, to_columns
from penchant_lab.bench.rows import Row

ROWS = [
    Row("fusion", "a/1", "a", 0, "2%", "1", 40, 38, 2000, None, 90, 12, 0.25, True, 0.5, 1.25, {"f1": 0.5}, 3.0, 4.0),
    Row("fusion", "a/2", "a", 0, "2%", "1", 40, 40, 2000, loss=0.1, metrics={"f1": 1.0, "em": 0.0}, recall=1.0),
    Row("none", "a/1", "a", 0, "", error="the window is too short"),
]


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


def test_columns_of_another_build_and_broken_ones() -> None:
    document = to_columns(ROWS)
    document["columns"]["colour"] = ["red"] * 3
    assert from_columns(document) == ROWS
    document["columns"]["seed"] = [0]
    with pytest.raises(InputError, match="'seed' has 1 values: expected 3"):
        from_columns(document)
    for broken in ({}, {"count": 1, "columns": {}}, {"count": 1, "columns": []}):
        with pytest.raises(InputError, match="no rows in columns"):
            from_columns(broken)
