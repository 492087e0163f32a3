"""The histories that are measured: the package's sample users, cut, joined or repeated to a number of tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from importlib import resources

from penchant.history.jsonl import read_records
from penchant.history.records import History, Record
from penchant.models.loading import LoadedModel

USERS = ("ines", "ruth", "tomas")
#: The samples span less than two years, so that a copy moved by this much comes after the one before it.
COPY_APART = timedelta(days=800)


def sample_records(user: str) -> list[Record]:
    """The records of a sample user."""
    path = resources.files("penchant") / "demo" / "samples" / f"{user}.jsonl"
    with resources.as_file(path) as file:
        return list(read_records(file))


def sample_requests(user: str) -> list[str]:
    """What is asked about a sample user's history."""
    path = resources.files("penchant") / "demo" / "samples" / "requests.json"
    asked = json.loads(path.read_text(encoding="utf-8"))
    return [request["query"] for entry in asked if entry["user"] == user for request in entry["requests"]]


def count_tokens(loaded: LoadedModel, records: list[Record]) -> list[int]:
    """Tokens of each record's body, as the attention index stores them."""
    ids = loaded.tokenizer([record.body for record in records], add_special_tokens=False)["input_ids"]
    return [len(tokens) for tokens in ids]


def of_tokens(loaded: LoadedModel, tokens: int, user: str = USERS[0]) -> History:
    """The newest records of a sample user that hold at most `tokens` tokens together, one line break each counted."""
    chosen: list[Record] = []
    used = 0
    records = sample_records(user)
    for record, size in zip(reversed(records), reversed(count_tokens(loaded, records)), strict=True):
        if used + size + 1 > tokens:
            break
        used += size + 1
        chosen.append(record)
    return History(reversed(chosen), user=user)


def all_samples() -> History:
    """Every record of the three samples, as if one person had written them."""
    return History((record for user in USERS for record in sample_records(user)), user="everyone")


def copies(history: History, count: int) -> Iterator[list[Record]]:
    """`count` copies of the records, each with ids and times of its own."""
    for number in range(count):
        yield [
            replace(record, id=f"{record.id}#{number}", when=record.when + number * COPY_APART if record.when else None)
            for record in history
        ]
