"""Conversations, instructions and steering over HTTP."""

from datetime import UTC, datetime

import httpx

from penchant.history.dialogue import Instruction, Turn
from penchant.serving.service import Service
from tests.serving.server import client, service  # noqa: F401 (fixtures)

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def test_conversations_are_listed_shown_and_erased(client: httpx.Client, service: Service) -> None:
    kept = service.store.conversations
    for name in ("a/1", "b"):
        kept.open("carl", name, system="Be brief.", when=NOW)
        kept.add("carl", name, Turn(0, "user", "My cat is Tom.", NOW), Turn(1, "assistant", "Hello Tom.", NOW, "stop"))
    at = "/v1/users/carl/conversations"
    assert sorted(one["id"] for one in client.get(at).json()["data"]) == ["a/1", "b"]
    shown = client.get(f"{at}/a%2F1").json()
    assert shown["system"] == "Be brief."
    assert [one["text"] for one in shown["data"]] == ["My cat is Tom.", "Hello Tom."]
    assert client.delete(f"{at}/a%2F1").json()["erased"] == "a/1"
    assert client.get(f"{at}/a%2F1").json()["error"]["code"] == "unknown_conversation"
    assert client.delete(f"{at}/a%2F1").status_code == 404
    assert [one["id"] for one in client.get(at).json()["data"]] == ["b"]
    assert client.get("/v1/users/nobody/conversations").status_code == 404


def test_instructions_are_listed_and_ended(client: httpx.Client, service: Service) -> None:
    service.store.conversations.put("dora", Instruction("i1", "Answer in French.", scope="always", added=NOW))
    at = "/v1/users/dora/instructions"
    assert [one["text"] for one in client.get(at).json()["data"]] == ["Answer in French."]
    assert client.delete(f"{at}/i1").json()["ended_by"] == "user"
    assert client.get(at).json()["data"] == []
    assert [one["id"] for one in client.get(at, params={"ended": True}).json()["data"]] == ["i1"]
    assert client.delete(f"{at}/other").status_code == 404
    assert client.get("/v1/users/dora/steering").json()["data"] == []
