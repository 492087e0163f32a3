"""`/v1/users`: records come in, go out, and are erased with what was made from them."""

import json
import sqlite3

import httpx
import pytest

from penchant.serving.service import Service
from penchant.store import engine as database
from tests.serving.server import client, service  # noqa: F401 (fixtures)

LINES = {"Content-Type": "application/x-ndjson"}


def test_records_come_in_once(client: httpx.Client) -> None:
    lines = b'{"text": "I play the cello.", "id": "a"}\n{"text": "I live in Oslo.", "id": "b"}\n'
    assert client.post("/v1/users/eve/records", content=lines, headers=LINES).json() == {"added": 2, "unchanged": 0}
    assert client.post("/v1/users/eve/records", content=lines, headers=LINES).json() == {"added": 0, "unchanged": 2}
    assert client.post("/v1/users/eve/records", json=[{"text": "I have a dog.", "id": "c"}]).json()["added"] == 1
    page = client.get("/v1/users/eve/records", params={"limit": 2, "offset": 1}).json()
    assert page["total"] == 3 and [one["id"] for one in page["data"]] == ["b", "c"]
    exported = client.get("/v1/users/eve/export").text.splitlines()
    assert [json.loads(line)["id"] for line in exported] == ["a", "b", "c"]
    assert client.delete("/v1/users/eve/records/b").status_code == 200
    assert client.get("/v1/users/eve/records").json()["total"] == 2
    made = client.post("/v1/users/eve/profile", json={"query": "What do I play?", "budget": 50}).json()
    assert "cello" in made["profile"] and made["tokens"] <= 50
    assert made["shortening"].startswith("not shorter: the budget is ")
    none = client.post("/v1/users/eve/profile", json={"query": "What do I play?", "budget": 0})
    assert none.status_code == 400 and "budget" in none.json()["error"]["message"]
    assert client.post("/v1/users/eve/records", json={"text": "x", "id": "a"}).status_code == 400


def test_erasing_a_user_leaves_nothing(client: httpx.Client, service: Service) -> None:
    client.post("/v1/users/zed/records", json={"text": "My tailor is Mr Quill."})
    asked = {"messages": [{"role": "user", "content": "Who is my tailor?"}], "user": "zed"}
    assert client.post("/v1/chat/completions", json=asked).headers["x-penchant-profile"] == "used"
    assert any(one.owner == "user:zed" for one in service.engine._prefixes._kept.values())
    receipt = client.delete("/v1/users/zed").json()["receipt"]
    assert receipt["records"] == 1
    assert not any(one.owner == "user:zed" for one in service.engine._prefixes._kept.values())
    assert client.post("/v1/chat/completions", json=asked).headers["x-penchant-profile"] == "unknown-user"
    assert client.delete("/v1/users/zed").status_code == 404


def test_bad_records_are_refused(client: httpx.Client) -> None:
    for body, message in (
        (b"", "no record"),
        (b"\xff", "UTF-8"),
        (b'{"text": 7}', "record 1"),
        (b'{"text": "a"}\n{"txt": "b"}', "record 2"),
    ):
        response = client.post("/v1/users/eve/records", content=body, headers=LINES)
        assert response.status_code == 400 and message in response.json()["error"]["message"]


def test_line_separators_in_a_text_end_no_line(client: httpx.Client) -> None:
    lines = '{"text": "one\u2028two", "id": "u"}\r\n{"text": "three", "id": "v"}\n'.encode()
    assert client.post("/v1/users/lin/records", content=lines, headers=LINES).json()["added"] == 2
    assert client.get("/v1/users/lin/records").json()["data"][0]["text"] == "one\u2028two"


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_what_a_foreign_page_can_send_is_refused(client: httpx.Client, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    response = client.post("/v1/users/eve/records", content=b'{"text": "planted"}', headers=headers)
    assert response.status_code == 415 and "application/json" in response.json()["error"]["message"]


def test_rerank(client: httpx.Client, service: Service) -> None:
    indexes = service.personalizer.resources.indexes
    before = len(indexes._open)
    documents = ["The dentist is Dr. Voss.", {"text": "Rain in Oslo."}, "A dog barks."]
    body = {"query": "Who is the dentist?", "documents": documents, "top_n": 2, "return_documents": True}
    made = client.post("/v1/rerank", json=body).json()["results"]
    assert len(made) == 2
    assert made[0]["relevance_score"] >= made[1]["relevance_score"]
    assert all(one["document"]["text"][one["start"] : one["end"]] for one in made)
    assert len(indexes._open) == before  # nothing of the documents stays


@pytest.mark.parametrize("page", [{"limit": 0}, {"offset": -1}, {"offset": 10**30}, {"limit": "x"}])
def test_pages_out_of_range_are_refused(client: httpx.Client, page: dict[str, object]) -> None:
    response = client.get("/v1/users/anna/records", params=page)
    assert response.status_code == 400 and next(iter(page)) in response.json()["error"]["param"]


def test_a_locked_store_is_said(client: httpx.Client, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    locking = sqlite3.connect(service.store.directory / "penchant.db", isolation_level=None)
    engine = service.store._engine
    engine.dispose()  # new connections wait as briefly
    locking.execute("BEGIN EXCLUSIVE")
    try:
        response = client.post("/v1/users/eve/records", json={"text": "Not while it is locked."})
    finally:
        locking.execute("ROLLBACK")
        locking.close()
        engine.dispose()
    assert response.status_code == 503 and 1 <= int(response.headers["retry-after"]) <= 10
    error = response.json()["error"]
    assert error["code"] == "store_unavailable" and str(service.store.directory) not in error["message"]
    assert client.post("/v1/users/eve/records", json={"text": "Not while it is locked."}).json()["added"] == 1


def test_ids_with_a_slash_are_reached(client: httpx.Client) -> None:
    at = "/v1/users/acme%2Fanna%25"
    record = {"text": "The dentist is Dr. Voss.", "id": "chat/1"}
    assert client.post(f"{at}/records", json=record).json()["added"] == 1
    assert client.get(f"{at}/records").json()["data"][0]["id"] == "chat/1"
    asked = {"messages": [{"role": "user", "content": "Who is the dentist?"}]}
    assert client.post("/u/acme%2Fanna%25/v1/render", json=asked).json()["user"] == "acme/anna%"
    assert client.delete(f"{at}/records/chat%2f1").json() == {"erased": "chat/1"}
    client.post(f"{at}/records", json=record)
    assert client.delete(at).json()["erased"] == "acme/anna%"
    assert client.get(f"{at}/records").status_code == 404


def test_a_foreign_host_is_refused(client: httpx.Client) -> None:
    for host in ("evil.example", "localhost.evil.example:80", "127.0.0.1.evil.example", ""):
        answer = client.get("/v1/models", headers={"Host": host})
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "unknown_host"
    for host in ("LOCALHOST:9", "[::1]:80", "127.0.0.1", "a.localhost"):
        assert client.get("/v1/models", headers={"Host": host}).status_code == 200


def test_a_page_of_records(client: httpx.Client) -> None:
    client.post("/v1/users/pages/records", json=[{"text": f"record {number}"} for number in range(5)])
    made = client.get("/v1/users/pages/records", params={"limit": 2, "offset": 3}).json()
    assert [one["text"] for one in made["data"]] == ["record 3", "record 4"]
    assert made["total"] == 5
