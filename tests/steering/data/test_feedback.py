"""Thumbs up and down: read whole or refused with file and line."""

import json
from datetime import UTC, datetime

import pytest

from penchant.errors import InputError
from penchant.history.records import Request
from penchant.steering.data.contrast_file import ContrastFile
from penchant.steering.data.feedback import add_feedback, read_feedback

GOOD = {"query": "q", "up": "yes", "down": "no"}


def write(path, *lines):
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
    return path


def test_feedback_becomes_contrasts(tmp_path):
    more = {**GOOD, "task": "t", "when": "2024-05-01T12:00:00+02:00", "id": "f1", "query": "half \ud83d"}
    path = write(tmp_path / "f.jsonl", b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), b"", more)
    first, second = read_feedback(path)
    assert (first.request, first.chosen, first.rejected, first.source) == (Request("q"), "yes", "no", "feedback")
    assert (first.record, first.when, first.donors, first.meta) == ("", None, (), {})
    assert second.request == Request("half \ufffd", "t")
    assert second.when == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert second.meta == {"id": "f1"}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", r"invalid JSON \("),
        (b"\xff\xfe{}", "not UTF-8 at byte 1"),
        (b"[1]", "a JSON list"),
        ({**GOOD, "up": 3}, "up: .*string"),
        ({"query": "q", "up": "a"}, "down: Field required"),
        ({**GOOD, "extra": 1}, "unknown key 'extra', known are query"),
        ({**GOOD, "when": "yesterday"}, "when: a time is an ISO 8601 string"),
        ({**GOOD, "when": 5}, "when: a time is"),
        ({**GOOD, "when": "0001-01-01T00:00:00+10:00"}, "when: a time is"),
        ({**GOOD, "up": " "}, "empty answer"),
        ({**GOOD, "query": " "}, "request is empty"),
        ({**GOOD, "up": "no "}, "same text"),
        (b"[" * 100_000, "invalid JSON"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_added(tmp_path, line, why):
    path = write(tmp_path / "f.jsonl", GOOD, line)
    file = ContrastFile(tmp_path / "kept", "kim")
    with pytest.raises(InputError, match=rf"f\.jsonl line 2: .*{why}.*") as error:
        add_feedback(file, path)
    assert "\n" not in str(error.value)
    assert not file.path.exists()


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match="can't be read: No such file"):
        list(read_feedback(tmp_path / "none.jsonl"))


def test_adding_twice_adds_once(tmp_path):
    file = ContrastFile(tmp_path / "kept", "kim")
    path = write(tmp_path / "f.jsonl", GOOD, {**GOOD, "query": "another"}, GOOD)
    assert add_feedback(file, path) == (2, 0)
    assert add_feedback(file, path) == (0, 2)
    assert [contrast.request.query for contrast in file.contrasts(["feedback"])] == ["q", "another"]
