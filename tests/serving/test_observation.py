"""What the operator sees: an id and a line for each request, counts, and nothing of what users say."""

import json
import logging
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from penchant.serving.identity import IdentityRules
from penchant.serving.observation import log
from penchant.serving.service import ServerSettings, Service
from tests.serving.server import client, running, service  # noqa: F401 (fixtures)
from tests.test_personalizer import personalizer_of

SECRET = "Zanzibar"
ASKED = [{"role": "user", "content": f"Who is the dentist in {SECRET}?"}]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, log.name)
    yield caplog


def line_of(lines: pytest.LogCaptureFixture, request: str) -> dict[str, Any]:
    """The line of a request, which is written when its client has its answer."""
    for _ in range(500):
        for one in [json.loads(one.getMessage()) for one in lines.records if one.name == log.name]:
            if one["request"] == request:
                return dict(one)
        time.sleep(0.01)
    raise AssertionError(f"no line of {request}")


def value(client: httpx.Client, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_is_logged_and_counted(client: httpx.Client, lines: pytest.LogCaptureFixture, stream: bool) -> None:
    route = 'penchant_requests_total{route="/v1/chat/completions",status="200"}'
    before = {name: value(client, name) for name in (route, 'penchant_tokens_total{kind="answer"}')}
    body = {"messages": ASKED, "user": "anna", "stream": stream, "temperature": 0}
    response = client.post("/v1/chat/completions", json=body, headers={"X-Request-Id": f"abc-{stream}"})
    assert response.headers["x-request-id"] == f"abc-{stream}"
    line = line_of(lines, f"abc-{stream}")
    assert line["route"] == "/v1/chat/completions" and line["status"] == 200
    assert line["profile"] == "used" and 0 < line["marking_ms"] < line["first_token_ms"] < line["ms"]
    assert line["answer_tokens"] == 6 and line["prompt_tokens"] > 20
    for name, more in zip(before, (1, 6), strict=True):
        assert value(client, name) == before[name] + more
    assert value(client, 'penchant_profiles_total{outcome="used"}') >= 1


def test_logs_and_counts_hold_nothing_of_a_user(client: httpx.Client, lines: pytest.LogCaptureFixture) -> None:
    client.post("/v1/users/secretive/records", json={"text": f"I was in {SECRET}.", "id": f"of-{SECRET}"})
    client.post("/v1/chat/completions", json={"messages": ASKED, "user": "secretive"})
    client.post("/v1/chat/completions", json={"messages": ASKED, "user": "secretive", "n": SECRET})
    client.get(f"/v1/users/secretive/{SECRET}")
    client.delete(f"/v1/users/secretive/records/of-{SECRET}")
    client.delete("/v1/users/secretive", headers={"X-Request-Id": "the-last"})
    line_of(lines, "the-last")
    written = [one.getMessage() for one in lines.records if one.name.startswith(("penchant", "uvicorn"))]
    assert len(written) >= 6
    for text in [*written, client.get("/metrics").text]:
        assert SECRET not in text and "secretive" not in text


@pytest.mark.parametrize("given", ["a b", "x" * 65, "", "ä".encode().decode("latin-1"), "a\tb"])
def test_an_id_that_is_none_gets_a_new_one(client: httpx.Client, given: str) -> None:
    response = client.get("/livez", headers={"X-Request-Id": given.encode("latin-1")})
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["x-request-id"])


def test_failures_have_an_id_too_and_tell_the_log_where(
    client: httpx.Client, service: Service, lines: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError(SECRET)

    monkeypatch.setattr(service.store, "page", fail)
    response = client.get("/v1/users/anna/records")
    assert response.status_code == 500 and response.json()["error"]["code"] == "internal_error"
    assert line_of(lines, response.headers["x-request-id"])["status"] == 500
    said = [one.getMessage() for one in lines.records if one.levelno == logging.ERROR]
    assert any("ValueError" in one and "in fail" in one for one in said)
    assert not any(SECRET in one for one in said)


def test_a_route_that_is_not_there_has_no_label_of_its_own(client: httpx.Client) -> None:
    client.get("/v1/some/thing")
    text = client.get("/metrics").text
    assert 'route="none",status="404"' in text and "some/thing" not in text


def test_counts_are_for_trusted_addresses(service: Service) -> None:
    rules = IdentityRules(trusted=("10.0.0.0/8",))
    with running(Service(personalizer_of(service.store), ServerSettings(rules=rules))) as made:
        assert made.get("/metrics").status_code == 403
        assert made.get("/readyz").json()["status"] == "ok"


def test_ready_says_what_is_missing(client: httpx.Client, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.engine._queues, "closing", True)
    refused = client.get("/readyz")
    assert refused.status_code == 503 and refused.json()["error"]["code"] == "no_engine"
