"""Sample histories and requests, written for this project."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import as_file, files

from penchant.history.jsonl import load_history
from penchant.history.records import History


@dataclass(frozen=True)
class SampleRequest:
    """facts: an answer that contains any of them (ignoring case) is right. evidence: record ids."""

    query: str
    facts: tuple[str, ...]
    evidence: tuple[str, ...]
    factual: bool

    def answered_by(self, answer: str) -> bool:
        return any(fact.lower() in answer.lower() for fact in self.facts)


def sample_users() -> list[tuple[History, tuple[SampleRequest, ...]]]:
    """Return the three sample users: history and requests."""
    folder = files("penchant.demo") / "samples"
    users = []
    for entry in json.loads((folder / "requests.json").read_text(encoding="utf-8")):
        with as_file(folder / f"{entry['user']}.jsonl") as path:
            history = load_history(path, user=entry["user"])
        requests = tuple(
            SampleRequest(one["query"], tuple(one["facts"]), tuple(one["evidence"]), one["factual"])
            for one in entry["requests"]
        )
        users.append((history, requests))
    return users
