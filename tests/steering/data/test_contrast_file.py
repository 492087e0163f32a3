"""Contrasts on disk: round trip, torn ends, erasure through the real store."""

import json
from datetime import UTC, datetime

import pytest

from penchant.errors import InputError, StoreError
from penchant.history.records import Record, Request
from penchant.steering.data.contrast import Contrast
from penchant.steering.data.contrast_file import AREA, ContrastFile, Dropped
from penchant.store import Store
from penchant.store.erasure.lineage import source_of

DONORS = (source_of("ann", "a1"), source_of("cem", "c1"))


def contrast(number=0, donors=DONORS, rejected="their answer", source="others"):
    when = datetime(2024, 1, 1 + number, tzinfo=UTC)
    meta = {"similarity": 0.1, "setting": "s"}
    return Contrast(
        Request(f"input {number}", "Write a title."), "my answer", rejected, source, f"b{number}", when, donors, meta
    )


@pytest.fixture
def file(tmp_path):
    return ContrastFile(tmp_path / "kept", "bob")


def test_what_is_kept_is_read_again(file):
    odd = Contrast(Request("q\r\n\u2028", None), "a\x85b", "c", "feedback")
    entries = [contrast(), Dropped("b9", "too close", DONORS, {"pair": "x"}), odd, contrast(1, (), source="none")]
    assert file.entries() == []
    assert file.append(entries) == [True] * 4
    assert file.entries() == entries
    assert file.contrasts() == [entries[0], entries[2], entries[3]]
    assert file.contrasts(["none", "feedback"]) == [odd, entries[3]]
    assert file.append([]) == []


def test_donors_are_hashes_on_disk_and_in_memory(file):
    file.append([contrast()])
    line = json.loads(file.path.read_text())
    assert line["sources"] == [str(source_of("bob", "b0")), *map(str, DONORS)]
    assert not [name for name in ("ann", "cem", '"a1"', '"c1"', "bob") if name in file.path.read_text()]
    assert file.sources(contrast()) == [source_of("bob", "b0"), *DONORS]
    assert file.sources(file.contrasts()[0]) == file.sources(contrast())
    for raw in ((("ann", "a1"),), (source_of("ann", "a1"), ("", ""))):
        with pytest.raises(InputError, match="donors aren't hashes"):
            file.append([contrast(donors=raw)])
    assert len(file.entries()) == 1


def test_a_line_cut_by_a_crash_is_passed_over_and_replaced(file):
    file.append([contrast(0), contrast(1)])
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[:-30])
    assert file.entries() == [contrast(0)]
    file.append([contrast(2)])
    assert file.entries() == [contrast(0), contrast(2)]


@pytest.mark.parametrize("bad", ["{}", "no json", "[1]", '{"sources": ["x"], "record": "", "meta": {}}', ""])
def test_a_line_of_something_else_is_named(file, bad):
    file.append([contrast()])
    with file.path.open("a") as out:
        out.write(bad + "\n")
    with pytest.raises(StoreError, match=r"contrasts\.jsonl line 2 isn't what Penchant wrote"):
        file.entries()


def test_removing_some_leaves_the_rest_byte_for_byte(file):
    file.append([contrast(0), contrast(1), contrast(2)])
    lines = file.path.read_bytes().splitlines(keepends=True)
    assert file.remove(lambda entry: entry.record == "b1") == 1
    assert file.path.read_bytes() == lines[0] + lines[2]


def test_what_is_no_json_is_refused(file):
    odd = Contrast(Request("q"), "a", "b", "none", meta={"x": float("nan")})
    with pytest.raises(InputError, match="can't be stored"):
        file.append([odd])
    assert not file.path.exists()


def test_the_store_erases_a_donor_a_record_and_the_user(tmp_path):
    secret = "one two three four five six seven eight nine ten of ann alone"
    with Store(tmp_path) as store:
        store.add("ann", [Record(secret, id="a1", reply="hers")])
        store.add("cem", [Record("text of cem", id="c1", reply="his")])
        store.add("bob", [Record(f"input {n}", id=f"b{n}", reply="my answer") for n in range(4)])
        file = ContrastFile(store.user_dir(AREA, "bob"), "bob")
        cems = contrast(2, DONORS[1:])
        feedback = Contrast(Request("input"), "mine", "not mine", "feedback")
        file.append([contrast(0, rejected=f"As they say, {secret}."), contrast(1, ()), cems, feedback])
        lines = file.path.read_bytes().splitlines(keepends=True)

        assert store.forget("ann").derived == 1
        assert file.path.read_bytes() == b"".join(lines[1:])
        assert secret.encode() not in b"".join(f.read_bytes() for f in tmp_path.rglob("*") if f.is_file())

        store.forget_record("bob", "b1")
        assert file.entries() == [cems, feedback]
        store.forget_record("cem", "c1")
        assert file.entries() == [feedback]
        receipt = store.forget("bob")
        assert (receipt.files, receipt.derived) == (1, 0)
        assert not file.path.parent.exists()
