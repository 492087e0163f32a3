"""Keys at the server: nothing without one, each sees its tenant's users and may do what its scope says."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from penchant import Store
from penchant.errors import InputError
from penchant.serving.access import Gate, Needs, _stored_user
from penchant.serving.app import create_app
from penchant.serving.run import check_address
from penchant.serving.service import ServerSettings, Service
from tests.serving.server import running
from tests.test_personalizer import personalizer_of

ASKED = [{"role": "user", "content": "Who is the dentist?"}]
READS = {
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/render",
    "/v1/rerank",
    "/v1/responses",
    "/v1/users/{user}/profile",
}
"""POST routes that any key may use: they store nothing (responses: with such a key)."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(tmp_path_factory.mktemp("keys") / "store") as store:
        store.add("ruth", ["The dentist is Dr. Voss on Elm Street."])
        store.add("acme/ruth", ["The dentist is Dr. Lind in Bergen."])
        store.api_keys.create("acme", "read")
        yield store


@pytest.fixture(scope="module")
def client(store: Store) -> Iterator[httpx.Client]:
    with running(Service(personalizer_of(store), ServerSettings(model="tiny", max_tokens=4))) as made:
        yield made


def bearer(store: Store, tenant: str = "acme", scope: str = "read", **limits: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {store.api_keys.create(tenant, scope, **limits)[1]}"}


def ask(client: httpx.Client, headers: dict[str, str], **body: Any) -> httpx.Response:
    explain = {"penchant": {"explain": True}}
    return client.post("/v1/chat/completions", json={"messages": ASKED, **explain, **body}, headers=headers)


def texts(response: httpx.Response) -> str:
    return " ".join(one["text"] for one in response.json()["penchant"]["segments"])


def test_nothing_without_a_key(client: httpx.Client, store: Store) -> None:
    revoked, text = store.api_keys.create("acme", "admin")
    store.api_keys.revoke(revoked.id)
    for headers, code in (
        ({}, "missing_api_key"),
        ({"Authorization": "Basic abc"}, "missing_api_key"),
        ({"Authorization": "Bearer none"}, "invalid_api_key"),
        ({"Authorization": f"Bearer {text}"}, "invalid_api_key"),
    ):
        for response in (ask(client, headers, user="ruth"), client.get("/v1/models", headers=headers)):
            assert response.status_code == 401 and response.json()["error"]["code"] == code
            assert response.headers["www-authenticate"] == "Bearer"
            assert response.json()["error"]["type"] == "authentication_error"
    assert client.get("/livez").status_code == client.get("/openapi.json").status_code == 200
    assert client.get("/v1/nowhere").status_code == 401


@pytest.mark.parametrize("name", ["Authorization", "x-api-key", "api-key"])
def test_a_key_in_any_of_its_headers_sees_its_tenants_users(client: httpx.Client, store: Store, name: str) -> None:
    text = store.api_keys.create("acme", "read")[1]
    response = ask(client, {name: f"Bearer {text}" if name == "Authorization" else text}, user="ruth")
    assert "Lind" in texts(response) and response.headers["x-penchant-user"] == "ruth"
    assert "acme" not in response.text and "acme" not in str(response.headers)


def test_the_default_tenant_has_the_users_without_one(client: httpx.Client, store: Store) -> None:
    key = bearer(store, "default")
    assert "Voss" in texts(ask(client, key, user="ruth"))
    for response in (ask(client, key, user="acme/ruth"), ask(client, key, model="tiny@acme/ruth")):
        assert response.status_code == 400 and "without '/'" in response.json()["error"]["message"]


def test_another_tenant_sees_nobody(client: httpx.Client, store: Store) -> None:
    key = bearer(store, "other", "admin")
    for name in ("ruth", "acme/ruth", "../acme/ruth"):
        assert ask(client, key, user=name).headers["x-penchant-profile"] == "unknown-user"
    for path in ("records", "export"):
        missing = client.get(f"/v1/users/ruth/{path}", headers=key)
        assert missing.status_code == 404 and "store" not in missing.json()["error"]["message"]
    assert client.delete("/v1/users/ruth", headers=key).status_code == 404
    assert store.count("acme/ruth") == store.count("ruth") == 1


def test_a_key_may_do_what_its_scope_says(client: httpx.Client, store: Store) -> None:
    read, write, admin = (bearer(store, "team", scope) for scope in ("read", "write", "admin"))
    record = {"text": "I play the cello.", "id": "a"}
    for key, status in ((read, 403), (write, 200)):
        assert client.post("/v1/users/kim/records", json=record, headers=key).status_code == status
    assert client.get("/v1/users/kim/records", headers=read).json()["total"] == 1
    for method, path in (("GET", "export"), ("DELETE", "records/a"), ("DELETE", "")):
        refused = client.request(method, f"/v1/users/kim/{path}".rstrip("/"), headers=write)
        assert refused.status_code == 403 and refused.json()["error"]["code"] == "insufficient_scope"
    assert "cello" in client.get("/v1/users/kim/export", headers=admin).text
    erased = client.delete("/v1/users/kim", headers=admin).json()
    assert erased["erased"] == erased["receipt"]["user"] == "kim" and erased["receipt"]["records"] == 1


def test_a_key_of_one_user_names_that_user(client: httpx.Client, store: Store) -> None:
    key = bearer(store, "acme", "admin", user="ruth")
    response = ask(client, key)
    assert "Lind" in texts(response) and response.headers["x-penchant-user-from"] == "key"
    assert ask(client, key, user="ben").json()["error"]["code"] == "two_users"
    assert client.get("/v1/users/ben/records", headers=key).json()["error"]["code"] == "other_user"


def test_a_holder_of_a_key_may_name_users_in_headers(client: httpx.Client, store: Store) -> None:
    response = ask(client, {**bearer(store), "X-OpenWebUI-User-Id": "ruth"})
    assert response.headers["x-penchant-user-from"] == "header:x-openwebui-user-id"


def test_limits_of_a_key(client: httpx.Client, store: Store) -> None:
    key = bearer(store, "acme", "write", rate=2, body_bytes=100)
    large = client.post("/v1/users/kim/records", json={"text": "a" * 200}, headers=key)
    assert large.status_code == 413 and "100 bytes" in large.json()["error"]["message"]

    def chunks() -> Iterator[bytes]:
        yield b'{"text": "' + b"a" * 60
        yield b"a" * 60 + b'"}'

    content = {"Content-Type": "application/json"}
    assert client.post("/v1/users/kim/records", content=chunks(), headers={**key, **content}).status_code == 413
    refused = client.get("/v1/models", headers=key)
    assert refused.status_code == 429 and 1 <= int(refused.headers["retry-after"]) <= 10
    assert client.get("/v1/models", headers=bearer(store)).status_code == 200


def test_a_rate_is_given_back_evenly_and_a_revoked_key_ends_soon(tmp_path: Path) -> None:
    now = [0.0]
    sent: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sent.append(200)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            sent.append(message["status"])

    with Store(tmp_path / "store") as store:
        key, text = store.api_keys.create("acme", "read", rate=6)
        gate = Gate(app, store, lambda: now[0])
        scope = {"type": "http", "path": "/v1/models", "method": "GET", "headers": [(b"x-api-key", text.encode())]}
        for seconds, status in ((0, 200),) * 6 + ((0, 429), (9, 429), (1, 200), (0, 429), (600, 200)):
            now[0] += seconds
            asyncio.run(gate(scope, None, send))
            assert sent.pop() == status
        store.api_keys.revoke(key.id)
        now[0] += 6
        asyncio.run(gate(scope, None, send))
        assert sent.pop() == 401


def test_responses_stay_in_the_tenant_and_are_kept_with_a_key_that_may_write(
    client: httpx.Client, store: Store
) -> None:
    read, write, other = bearer(store), bearer(store, scope="write"), bearer(store, "umbrella", "write")
    body = {"input": "I sail a boat.", "user": "sam"}
    assert client.post("/v1/responses", json=body, headers=read).json()["store"] is False
    assert not store.conversations.list("acme/sam")
    made = client.post("/v1/responses", json=body, headers=write).json()
    assert made["store"] and len(store.conversations.list("acme/sam")) == 1
    path = f"/v1/responses/{made['id']}?user=sam"
    assert client.get(path, headers=read).status_code == 200
    assert client.get(path, headers=other).status_code == client.delete(path, headers=other).status_code == 404
    going_on = {**body, "previous_response_id": made["id"]}
    assert client.post("/v1/responses", json=going_on, headers=other).status_code == 404
    assert client.post("/v1/responses", json=going_on, headers=read).json()["store"] is False
    assert client.delete(path, headers=read).status_code == 403
    assert client.delete(path, headers=write).status_code == 200 and not store.conversations.list("acme/sam")
    message = {"messages": ASKED, "max_tokens": 2, "metadata": {"user_id": "ruth"}}
    key = {"x-api-key": read["Authorization"].removeprefix("Bearer ")}
    assert client.post("/v1/messages", json=message, headers=key).headers["x-penchant-user"] == "ruth"
    refused = client.post("/v1/messages", json=message)
    assert refused.status_code == 401 and refused.json()["type"] == "error"


def test_every_route_says_what_its_key_must_be(store: Store) -> None:
    app = create_app(Service(personalizer_of(store)))
    routes = [one for part in app.routes for one in getattr(part, "original_router", app).routes if one is not part]
    found = [one for one in routes if isinstance(one, APIRoute)]
    assert len(found) > 10
    for route in found:
        path = route.path
        needed = [one for one in route.dependencies if isinstance(one.dependency, Needs)]
        changes = route.methods & {"DELETE", "PUT", "PATCH"} or (route.methods == {"POST"} and path not in READS)
        assert bool(needed) == bool(changes or path.endswith("/export")), path
        if "{user}" in path:
            assert any(one.call is _stored_user for one in route.dependant.dependencies), path


def test_without_keys_only_loopback(tmp_path: Path, store: Store) -> None:
    check_address("0.0.0.0", store)  # the store has keys
    with Store(tmp_path / "store") as bare:
        check_address("127.0.0.1", bare)
        with pytest.raises(InputError, match="penchant keys create acme"):
            check_address("0.0.0.0", bare)  # it is refused


def test_no_message_names_the_tenant(client: httpx.Client, store: Store) -> None:
    headers = bearer(store, scope="admin")
    path = "/v1/users/finn/records"
    assert client.post(path, json={"text": "a", "id": "x"}, headers=headers).is_success
    said = [
        client.post(path, json={"text": "b", "id": "x"}, headers=headers),
        client.delete(f"{path}/nope", headers=headers),
        client.post("/v1/users/r%0Aq/records", json={"text": "b"}, headers=headers),
        client.post(f"/v1/users/{'x' * 1_200}/records", json={"text": "b"}, headers=headers),
    ]
    assert all(one.status_code == 400 and "acme" not in one.text for one in said), [one.text for one in said]
    assert "'finn'" in said[0].json()["error"]["message"]
