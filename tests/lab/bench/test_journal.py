"""What was measured is on disk at once, and belongs to one setting."""

from dataclasses import replace
from pathlib import Path

import pytest

from penchant.errors import InputError
from penchant_lab.bench.items import Item
from penchant_lab.bench.journal import Journal, digest_of
from penchant_lab.bench.rows import Row
from tests.lab.cases import history, items

ROW = Row("bm25", "ines/0", "ines", 0, "2%", loss=1.5, metrics={"f1": 0.5})
SETTING = {"task": "small", "model": "tiny"}


def test_rows_and_infos_are_read_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "new" / "folder", SETTING)
    journal.add([ROW, replace(ROW, item="ines/1", loss=None, error="why")])
    journal.describe("bm25", {"stored_bytes": 3})
    journal.describe("bm25", {"peak_bytes": 5})
    for command in ("first", "second", "first"):
        journal.ran(command)
    again = Journal(tmp_path / "new" / "folder", SETTING)
    assert again.commands == ["first", "second"]
    assert again.rows == journal.rows
    assert again.infos == {"bm25": {"stored_bytes": 3, "peak_bytes": 5}}
    assert again.done(ROW.key)
    assert not again.done(replace(ROW, item="ines/1").key)  # failed: to be tried again
    assert not again.done(replace(ROW, seed=1).key)


def test_a_later_row_replaces_an_earlier_one(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SETTING)
    journal.add([replace(ROW, loss=None, error="why")])
    journal.add([ROW])
    assert Journal(tmp_path, SETTING).rows == {ROW.key: ROW}


def test_a_line_that_a_crash_cut_short_is_dropped(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SETTING)
    journal.add([ROW])
    with journal.path.open("a", encoding="utf-8") as file:
        file.write('{"method": "bm25", "item": "ines/1", "us')
    again = Journal(tmp_path, SETTING)
    assert list(again.rows) == [ROW.key]
    again.add([replace(ROW, item="ines/2")])
    assert len(Journal(tmp_path, SETTING).rows) == 2


def test_cut_short_in_its_first_line_it_starts_anew(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SETTING)
    journal.path.write_text('{"setting": {"ta', encoding="utf-8")
    Journal(tmp_path, SETTING).add([ROW])
    assert list(Journal(tmp_path, SETTING).rows) == [ROW.key]


def test_another_setting_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    Journal(tmp_path, SETTING).add([ROW])
    with pytest.raises(InputError, match="another model: name another folder with --out, or pass --fresh"):
        Journal(tmp_path, {**SETTING, "model": "other"})
    assert Journal(tmp_path, SETTING).rows
    assert not Journal(tmp_path, {**SETTING, "model": "other"}, fresh=True).rows


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("something else\n", encoding="utf-8")
    with pytest.raises(InputError, match="no journal"):
        Journal(tmp_path, SETTING)


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match="can't write"):
        Journal(tmp_path / "file", SETTING)


def test_the_digest_tells_apart_what_is_asked_of_what() -> None:
    first = digest_of(items())
    assert first == digest_of(items())
    changed: list[Item] = items()
    changed[0] = replace(changed[0], answer="by the lake")
    other = [replace(one, history=history("ines", ("Something else.",))) for one in items()]
    assert len({first, digest_of(changed), digest_of(other), digest_of(items()[:3])}) == 4
