import json
from pathlib import Path

from penchant_lab.facts import changes


def test_the_labelled_turns_are_in_order() -> None:
    rows = changes.read()
    assert sum(len(row.turns) for row in rows) >= 150
    assert {row.language for row in rows} == {"en", "de", "fr", "es", "it"}
    assert {half: sum(row.half == half for row in rows) > 90 for half in changes.HALVES} == {"tune": True, "test": True}
    for row in rows:
        assert all(any(text in turn for turn in row.turns) for text in row.records), row
        assert row.retired <= row.records
    assert len({row.turns for row in rows}) == len(rows)


def test_figures_count_what_is_right_and_wrong(tmp_path: Path) -> None:
    rows = [
        {"turns": ["I smoke.", "I quit smoking."], "records": ["I smoke.", "I quit smoking."], "retired": ["I smoke."]},
        {"turns": ["I live in Cork. What now?"], "records": [], "retired": []},
        {"turns": ["Blue is nice."], "records": ["Blue is nice."], "retired": ["Blue is nice."]},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"language": "en", "kind": "x", **row}) for row in rows), encoding="utf-8")
    found = [changes.Change("en", "x", "tune", one.turns, one.records, one.retired) for one in changes.read(path)]
    row = changes.measure(found)["tune"]["all"]
    assert (row["rows"], row["turns"]) == (3, 4)
    assert row["becomes a record"]["precision"][0] == row["becomes a record"]["recall"][0] == 0.667
    assert row["ends a record"]["precision"][0] == 1 and row["ends a record"]["recall"][0] == 0.5
    low, high = row["becomes a record"]["recall"][1:]
    assert 0.2 < low < 0.667 < high < 0.95
    assert any("| tune | all | 4 | 3 | 0.67 [" in line for line in changes.table(changes.measure(found)))
