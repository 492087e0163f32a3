"""The kit that every language file is tested with, and a made-up language that is added by the steps in the docs."""

import re
from pathlib import Path

import pytest

from penchant.conversation.instructions import languages
from penchant.conversation.instructions.ending import ended_by
from penchant.conversation.instructions.languages import CUES, FOLDER, SLOTS, Table, tables
from penchant.conversation.instructions.patterns import patterns
from penchant.conversation.instructions.sentences import sentences
from penchant.errors import InputError
from penchant.history.dialogue import Instruction

#: A made-up language. Its file has what the docs call the least.
MADE_UP = r"""
durable = ['zunvorta']
each = ['pliraska']
ask = ['^.*\b(?:skrivo|parlik)\b']
not_asked = ['tiska', 'dirak (?:mo|ti)\w+']
subject = ['^mo ']
over = ['halto tun']
release = ['neplu']
everything = ['obli tunta']

[slots]
language = ['anglisk', 'normansk']
ending = ['finik']

[examples]
standing = ["Zunvorta skrivo anglisk.", "Skrivo finik OK pliraska."]
other = ["Skrivo tiska anglisk?", "Mo zunvorta skrivo.", "Dirak motra: zunvorta skrivo anglisk.", "Ka esti fjordo?"]
release = ["Neplu finik OK."]
over = ["Halto tun."]
everything = ["Obli tunta."]
"""


def check(table: Table) -> None:
    """What holds for every language file."""
    examples = table.data["examples"]
    assert len(examples["standing"]) >= 2 and len(examples["other"]) >= 2
    assert set(table.slots) <= set(SLOTS)
    assert len(table.listed("weekdays")) in (0, 7) and len(table.listed("months")) in (0, 12)
    for name in (*CUES, *(f"slot.{slot}" for slot in table.slots)):
        match = table.find(name, "")
        assert match is None, f"{name} matches nothing at all"
    detect = patterns()
    for text in examples["standing"]:
        assert [one.text for one in detect(text, ()).given] == [text]
    for text in examples["other"]:
        assert not detect(text, ()).given, text
    known = [Instruction(name, table.data["examples"]["standing"][0]) for name in "ab"]
    known.append(Instruction("ok", next(text for text in examples["standing"] if "OK" in text), slot="ending"))
    for name, ended in (("release", ("ok",)), ("over", ("ok",)), ("everything", ("a", "b", "ok"))):
        for text in examples[name]:
            (sentence,) = sentences(text)
            assert ended_by(sentence, known).ids == ended, text


@pytest.mark.parametrize("code", sorted(path.stem for path in FOLDER.glob("*.toml")))
def test_a_language_file_is_as_it_should_be(code: str) -> None:
    check(tables()[code])


def test_a_language_is_added_by_adding_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in FOLDER.glob("*.toml"):
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "art.toml").write_text(MADE_UP, encoding="utf-8")
    examples = re.findall(r'"([^"]+)"', MADE_UP.split("[examples]")[1])
    assert not any(patterns()(text, ()).given for text in examples)
    monkeypatch.setattr(languages, "FOLDER", tmp_path)
    check(tables()["art"])
    check(tables()["de"])


def test_a_file_that_is_wrong_is_an_input_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages, "FOLDER", tmp_path)
    (tmp_path / "xx.toml").write_text("alway = ['ever']", encoding="utf-8")
    with pytest.raises(InputError, match=r"xx\.toml has a field 'alway': expected some of durable, always"):
        tables()
    (tmp_path / "xx.toml").write_text("always = [", encoding="utf-8")
    with pytest.raises(InputError, match=r"xx\.toml isn't a TOML file"):
        tables()
