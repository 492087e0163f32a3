"""`penchant import` of a chat in which something was said off the record."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands import Invoke

SAID = {
    "A": ("I live in Oslo.", "Don't remember this, but I have diabetes. What can I eat?"),
    "B": ("From now on, this is off the record.", "My pin is 4711."),
    "C": ("Forget that I play chess. I play the cello.",),
}


def conversation(title: str) -> dict[str, Any]:
    """A conversation of ChatGPT's export."""
    mapping: dict[str, Any] = {"root": {"id": "root", "message": None, "parent": None, "children": []}}
    before = "root"
    for number, text in enumerate(SAID[title]):
        for role, words in (("user", text), ("assistant", f"Noted: {text}")):
            name = f"{title}{number}{role}"
            content = {"content_type": "text", "parts": [words]}
            message = {"id": name, "author": {"role": role}, "create_time": 1.7e9 + number, "content": content}
            mapping[name] = {"id": name, "message": message, "parent": before, "children": []}
            mapping[before]["children"] = [name]
            before = name
    return {"title": title, "create_time": 1.7e9, "mapping": mapping, "current_node": before}


def test_it_is_left_out_and_counted(penchant: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENCHANT_STORE", str(tmp_path / "store"))
    path = tmp_path / "conversations.json"
    path.write_text(json.dumps([conversation(title) for title in SAID]))
    made = penchant("import", "chatgpt", path, "--user", "kim", "--json").document
    assert (made["added"], made["off_record"]) == (2, 3)
    kept = penchant("users", "export", "kim").out
    assert "Oslo" in kept and "I play the cello." in kept
    assert not any(word in kept for word in ("diabetes", "4711", "chess"))
    assert "3 left out, said off the record" in penchant("import", "chatgpt", path, "--user", "kim").out
    whole = penchant("import", "chatgpt", path, "--user", "lee", "--keep-off-record", "--json").document
    assert (whole["added"], whole["off_record"]) == (5, 0)
