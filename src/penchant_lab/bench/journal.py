"""The journal of a run: each measurement is written at once, so that an interrupted run continues where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from penchant.errors import InputError
from penchant_lab.bench.items import Item
from penchant_lab.bench.rows import Row

FILE = "rows.jsonl"


class Journal:
    """Rows of one setting (task, data, model, ...) in a folder; the first line names the setting.

    fresh: ignore existing rows. Raises `InputError` when the folder holds rows of another setting or can't be written.
    A last line that a crash cut short is dropped.
    """

    def __init__(self, folder: Path, setting: Mapping[str, Any], *, fresh: bool = False) -> None:
        self.path, self.setting = folder / FILE, json.loads(json.dumps(setting))
        self.rows: dict[tuple[str, str, str, int], Row] = {}
        self.infos: dict[str, dict[str, Any]] = {}
        self.commands: list[str] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if fresh or not self.path.is_file() or not self.path.stat().st_size:
                self.path.write_text(json.dumps({"setting": self.setting}) + "\n", encoding="utf-8")
            else:
                self._read()
        except OSError as error:
            raise InputError(f"can't write {self.path} ({error.strerror}): name a folder with --out") from error

    def add(self, rows: Iterable[Row]) -> None:
        """Write rows at once; a later row of the same key replaces an earlier one."""
        made = list(rows)
        self._append([row.to_json() for row in made])
        self.rows.update((row.key, row) for row in made)

    def describe(self, method: str, info: Mapping[str, Any]) -> None:
        """Store facts about a method next to its rows: bytes stored, peak memory, versions."""
        self.infos[method] = {**self.infos.get(method, {}), **info}
        self._append([{"info": method, **info}])

    def ran(self, command: str) -> None:
        """Store a command that measured something: several may have filled a folder."""
        if command not in self.commands:
            self.commands.append(command)
            self._append([{"command": command}])

    def done(self, key: tuple[str, str, str, int]) -> bool:
        """Whether there is a row that didn't fail: a failed one is tried again."""
        row = self.rows.get(key)
        return row is not None and row.error is None

    def _append(self, documents: Iterable[Mapping[str, Any]]) -> None:
        lines = "".join(json.dumps(document, allow_nan=False) + "\n" for document in documents)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(lines)

    def _read(self) -> None:
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        if not lines[-1].endswith("\n"):
            self.path.write_text("".join(lines[:-1]), encoding="utf-8")
            lines.pop()
        try:
            first = json.loads(lines[0])["setting"] if lines else None
            documents = [json.loads(line) for line in lines[1:]]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self.path} is no journal of a bench ({error}): pass --fresh to start anew") from None
        if first is None:
            self.path.write_text(json.dumps({"setting": self.setting}) + "\n", encoding="utf-8")
        elif first != self.setting:
            names = sorted(name for name in {*first, *self.setting} if first.get(name) != self.setting.get(name))
            raise InputError(
                f"{self.path.parent} holds a run with another {', '.join(names)}: name another folder with --out, or "
                "pass --fresh to drop it"
            )
        for document in documents:
            if "command" in document:
                self.commands.append(document["command"])
            elif "info" in document:
                name = document.pop("info")
                self.infos[name] = {**self.infos.get(name, {}), **document}
            else:
                row = Row.from_json(document)
                self.rows[row.key] = row


def digest_of(items: Iterable[Item]) -> str:
    """Return a hash of the questions, histories and answers; the same items give the same hash on any machine."""
    state = hashlib.sha256()
    told: set[int] = set()
    for item in items:
        parts = [item.id, item.user, item.request.query, item.request.task, item.answer, *item.choices, *item.evidence]
        if item.given or item.check:  # others have the digest that they had before there were these
            parts += [item.given, *((item.check.kind, *item.check.words) if item.check else ())]
        if id(item.history) not in told:
            told.add(id(item.history))
            parts += [record.content_hash() for record in item.history]
        state.update(json.dumps(parts).encode())
    return state.hexdigest()[:16]
