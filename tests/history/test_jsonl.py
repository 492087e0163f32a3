"""The history file: reading, writing, and what each bad line says."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penchant.errors import InputError
from penchant.history.jsonl import load_history, read_records, to_line, write_records
from penchant.history.records import Record

GOOD = '{"text": "fine"}\n'


@given(records=st.lists(st.from_type(Record), min_size=1, max_size=4, unique_by=lambda record: record.id))
def test_what_is_written_reads_back_equal(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("round") / "history.jsonl"
    assert write_records(path, records) == len(records)
    assert list(read_records(path)) == records
    assert not list(path.parent.glob("*.part"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a"', r"invalid JSON \(Expecting ',' delimiter, column 13\)"),
        ('["a"]', r"invalid record \(a JSON list\)"),
        ('{"label": 3}', r"a record has no text"),
        ('{"text": " "}', r"a record has no text"),
        ('{"text": 5}', r"text: Input should be a valid string"),
        ('{"text": "a", "txet": 1, "stars": 2}', r"unknown keys 'txet', 'stars', known are text, reply, label"),
        ('{"text": "a", "when": "yesterday"}', r"when: 'yesterday' is no ISO 8601 time"),
        ('{"text": "a", "when": 5}', r"when: a time is an ISO 8601 string"),
        ('{"text": "a", "when": "0001-01-01T00:00:00+14:00"}', r"outside of the years"),
        ('{"text": "a", "label": true}', r"label: must be a number or a string"),
        ('{"text": "a", "label": NaN}', r"NaN is no JSON number"),
        ('{"text": "a", "label": 1e999}', r"label: must be a finite number"),
        ('{"text": "a", "meta": []}', r"meta: Input should be a valid dictionary"),
        ("[" * 100_000, r"invalid JSON"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = tmp_path / "history.jsonl"
    path.write_text(GOOD * 6 + line + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        list(read_records(path))
    text = str(caught.value)
    assert text.startswith("history.jsonl line 7: ")
    assert "expected one object per line" in text
    assert text.endswith("fix or remove the line")
    assert "\n" not in text


def test_bytes_that_are_no_utf8(tmp_path):
    path = tmp_path / "h.jsonl"
    path.write_bytes(GOOD.encode() + b'{"text": "caf\xe9"}')
    with pytest.raises(InputError, match="line 2: not UTF-8 at byte 14"):
        list(read_records(path))
    path.write_text(GOOD, encoding="utf-16")
    with pytest.raises(InputError, match="is UTF-16: expected UTF-8"):
        list(read_records(path))


def test_duplicate_ids_name_both_lines(tmp_path):
    path = tmp_path / "h.jsonl"
    path.write_text('{"text": "a", "id": "1"}\n\n{"text": "b", "id": "1"}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"h\.jsonl line 3: the id '1' is already on line 1"):
        load_history(path)


def test_equal_lines_without_an_id_are_one_record(tmp_path):
    path = tmp_path / "h.jsonl"
    path.write_text(GOOD * 3, encoding="utf-8")
    assert len(load_history(path)) == 1


def test_bom_nul_carriage_returns_and_half_characters(tmp_path):
    path = tmp_path / "h.jsonl"
    lines = [
        r'{"text": "a\u0000b", "when": "2024-05-01"}',
        r'{"text": "half \ud83d, whole \ud83d\ude00"}',
        '{"text": "\u2028"}',
    ]
    lines[2] = '{"text": "x\u2028y"}'
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    first, second, third = read_records(path)
    assert (first.text, first.when) == ("a\x00b", datetime(2024, 5, 1, tzinfo=UTC))
    assert second.text == "half \ufffd, whole 😀"
    assert third.text == "x\u2028y"


def test_an_empty_or_missing_file(tmp_path):
    path = tmp_path / "h.jsonl"
    path.write_text("\n \n", encoding="utf-8")
    with pytest.raises(InputError, match=r"h\.jsonl is empty: expected one object per line"):
        load_history(path)
    with pytest.raises(InputError, match="can't be read: No such file"):
        load_history(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="can't be read: Is a directory"):
        load_history(tmp_path)


def test_what_json_cant_hold_is_refused():
    for record in (Record("a", id="x", label=float("nan")), Record("a", id="x", meta={"k": object()})):
        with pytest.raises(InputError, match="record 'x' can't be written as JSON"):
            to_line(record)
    assert json.loads(to_line(Record("a", id="x"))) == {"id": "x", "text": "a"}


def test_a_failing_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "h.jsonl"
    path.write_text(GOOD, encoding="utf-8")
    with pytest.raises(InputError):
        write_records(path, [Record("a"), Record("b", label=float("inf"))])
    assert path.read_text(encoding="utf-8") == GOOD
    assert [entry.name for entry in tmp_path.iterdir()] == ["h.jsonl"]


def test_a_reply_alone_is_a_record(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text('{"reply": "See you at ten."}\n', encoding="utf-8")
    (record,) = read_records(path)
    assert (record.text, record.reply, record.body) == ("", "See you at ten.", "See you at ten.")
