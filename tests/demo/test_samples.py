"""The demo's sample histories: well-formed, in time order, and every factual request answerable from one place."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from importlib.resources import files
from itertools import pairwise
from typing import Any

import pytest

from penchant.history.records import History, Record

USERS = ("ines", "tomas", "ruth")
KEYS = {"id", "text", "reply", "label", "when", "kind", "meta"}
SAMPLES = files("penchant.demo") / "samples"


def rows(user: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SAMPLES / f"{user}.jsonl").read_text(encoding="utf-8").splitlines()]


def records(user: str) -> list[Record]:
    return [Record(**{**row, "when": datetime.fromisoformat(row["when"])}) for row in rows(user)]


def requests() -> dict[str, list[dict[str, Any]]]:
    listed = json.loads((SAMPLES / "requests.json").read_text(encoding="utf-8"))
    return {entry["user"]: entry["requests"] for entry in listed}


def shows(text: str, facts: list[str]) -> bool:
    return any(fact.lower() in text.lower() for fact in facts)


@pytest.mark.parametrize("user", USERS)
def test_every_line_is_a_record_with_time_and_kind(user: str) -> None:
    found = rows(user)
    assert 250 <= len(found) <= 350
    for row in found:
        assert set(row) <= KEYS
        assert row["text"].strip() == row["text"]
        assert row["when"].endswith("Z")
        assert row["kind"]
    ids = [record.id for record in records(user)]
    assert len(set(ids)) == len(ids)
    assert len({record.content_hash() for record in records(user)}) == len(ids)


@pytest.mark.parametrize("user", USERS)
def test_dates_increase_over_about_two_years(user: str) -> None:
    listed = records(user)
    times = [record.when for record in listed if record.when is not None]
    assert len(times) == len(listed)
    assert all(earlier < later for earlier, later in pairwise(times))
    assert timedelta(days=600) < times[-1] - times[0] < timedelta(days=900)
    assert History(listed, user).records == tuple(listed)


@pytest.mark.parametrize("user", USERS)
def test_histories_are_varied(user: str) -> None:
    listed = records(user)
    assert len({record.kind for record in listed}) >= 8
    openings = [" ".join(record.body.split()[:4]) for record in listed]
    assert len(set(openings)) > 0.97 * len(openings)
    words = [len(record.body.split()) for record in listed]
    assert min(words) <= 12
    assert max(words) >= 50


def test_there_are_six_requests_for_each_user() -> None:
    assert set(requests()) == set(USERS)
    for asked in requests().values():
        assert len(asked) == 6
        assert sum(request["factual"] for request in asked) >= 5
        for request in asked:
            assert set(request) == {"query", "facts", "evidence", "factual"}
            assert request["query"].strip()
            assert request["facts"]


@pytest.mark.parametrize("user", USERS)
def test_evidence_exists_and_holds_a_fact(user: str) -> None:
    by_id = {record.id: record for record in records(user)}
    for request in requests()[user]:
        assert request["evidence"]
        for evidence in request["evidence"]:
            assert shows(by_id[evidence].body, request["facts"]), (request["query"], evidence)


@pytest.mark.parametrize("user", USERS)
def test_facts_are_rare_and_not_given_away_by_the_request(user: str) -> None:
    for request in requests()[user]:
        if not request["factual"]:
            continue
        assert not shows(request["query"], request["facts"])
        for fact in request["facts"]:
            others = [r.id for r in records(user) if r.id not in request["evidence"] and shows(r.body, [fact])]
            assert len(others) <= 3, (fact, others)
