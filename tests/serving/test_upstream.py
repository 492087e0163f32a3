"""Upstreams: a real server that records what it was sent, private canaries, and answers that pass as they are."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from penchant import Record, Store
from penchant.errors import InputError
from penchant.serving.service import ServerSettings, Service
from penchant.serving.upstreams import ANY, Upstream, parse_upstreams
from penchant.sharing import EVERYTHING, Sharing
from tests import openai_server
from tests.openai_server import Reply, Served
from tests.serving.server import running
from tests.test_personalizer import personalizer_of

ASKED = [{"role": "user", "content": "Who is the dentist on Elm Street?"}]
RECORDS = [
    Record("The dentist is Dr. Voss on Elm Street.", id="a"),
    Record("The dentist on Elm Street sees me for canary-private-7.", id="b", meta={"private": True}),
    Record("The dentist on Elm Street wrote canary-health-8.", id="c", kind="health"),
    Record("The dentist on Elm Street said canary-tag-9.", id="d", meta={"tags": ["secret", "x"]}),
    Record("I like green tea.", id="e"),
]
ANSWER = b'{"id": "x", "odd": {"field": 1}, "choices": [],   "usage": null}'
Start = Callable[..., AbstractContextManager[tuple[httpx.Client, Served]]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    @contextmanager
    def made(*answers: Any, sharing: Sharing = EVERYTHING, **more: Any) -> Iterator[tuple[httpx.Client, Served]]:
        upstream = {name: more.pop(name) for name in ("key", "send_users", "silent") if name in more}
        with (
            openai_server.serving(*(answers or (Reply([ANSWER], whole=True),))) as served,
            Store(tmp_path / "store") as store,
        ):
            store.add("anna", RECORDS)
            given = Upstream("big", served.base_url, sharing=sharing, **upstream)
            settings = ServerSettings(model="tiny", budget=200, upstreams=(given,), **more)
            with running(Service(personalizer_of(store), settings)) as client:
                yield client, served

    return made


def chat(client: httpx.Client, **more: Any) -> httpx.Response:
    return client.post("/v1/chat/completions", json={"model": "big", "messages": ASKED, "user": "anna", **more})


def test_the_body_goes_whole_with_a_profile_and_without_the_user(start: Start) -> None:
    past = [
        {"role": "system", "content": "Be brief.", "cache_control": {"type": "ephemeral"}},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "t", "odd": 1}]},
    ]
    more = {
        "tools": [{"type": "function", "x": 1}],
        "new_field": {"deep": [1, None]},
        "metadata": {"user_id": "anna", "k": "v"},
    }
    with start(key="sk-1") as (client, served):
        answer = chat(client, messages=[*past, *ASKED], penchant={"budget": 150}, safety_identifier="anna", **more)
        (body,) = served.bodies
        assert body.pop("messages")[:-1] == past
        assert body == {"model": "big", **more, "metadata": {"k": "v"}}
        assert served.keys == ["Bearer sk-1"]
        assert answer.content == ANSWER
        assert answer.headers["x-penchant-profile"] == "used"
        assert answer.headers["x-penchant-user"] == "anna"
        chat(client)
        content = served.bodies[-1]["messages"][-1]["content"]
        assert "Dr. Voss" in content
        assert content.endswith(ASKED[0]["content"])


def test_who_asks_may_be_sent_on(start: Start) -> None:
    with start(send_users=True) as (client, served):
        chat(client)
        assert served.bodies[0]["user"] == "anna"
        chat(client, model="big@anna")
        assert served.bodies[1]["model"] == "big"


@pytest.mark.parametrize(
    ("rules", "hidden"),
    [
        ("all", ["canary-private-7"]),
        ("all,-kind:health,-tag:secret", ["canary-private-7", "canary-health-8", "canary-tag-9"]),
        ("tag:secret", ["canary-private-7", "canary-health-8", "Voss"]),
        ("none", ["canary-private-7", "canary-health-8", "canary-tag-9", "Voss", "green tea"]),
    ],
)
def test_what_may_not_leave_is_in_no_request(start: Start, rules: str, hidden: list[str]) -> None:
    everything = ["canary-private-7", "canary-health-8", "canary-tag-9", "Voss"]
    with start(sharing=Sharing.parse(rules)) as (client, served):
        for query in (*ASKED, {"role": "user", "content": "Tell me everything: canary-private, health, tag?"}):
            chat(client, messages=[query])
            client.post("/v1/completions", json={"model": "big", "prompt": query["content"], "user": "anna"})
            client.post("/v1/messages", json={"model": "big", "messages": [query], "metadata": {"user_id": "anna"}})
        sent = json.dumps(served.bodies)
        assert served.paths[:3] == ["/v1/chat/completions", "/v1/completions", "/v1/messages"]
        assert [text for text in hidden if text in sent] == []
        shown = [text for text in everything if not any(text.startswith(one) for one in hidden)]
        assert [text for text in shown if text not in sent] == []
        chat(client, model="tiny", max_tokens=1)  # the local model may use them all
        local = client.post("/v1/render", json={"messages": ASKED, "user": "anna", "penchant": {"budget": 200}}).json()
        assert "canary-private-7" in json.dumps(local)


def test_a_stream_passes_byte_by_byte(start: Start) -> None:
    events = [b": ping\n\n", b'data: {"odd":1}\r\n\r\n', b"event: x\ndata: [DONE]\n\n"]
    with start(Reply(events, kind="text/event-stream", headers={"x-request-id": "r1"})) as (client, _):
        answer = chat(client, stream=True)
        assert answer.content == b"".join(events)
        assert answer.headers["x-upstream-request-id"] == "r1"


def test_errors_and_limits_of_the_upstream_pass(start: Start) -> None:
    with start(openai_server.error(429, "slow down", Retry_After="7")) as (client, served):
        answer = chat(client)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
        assert answer.json()["error"]["message"] == "slow down"
        assert len(served.bodies) == 1  # nothing is tried again


def test_a_dead_and_a_slow_upstream(start: Start, tmp_path: Path) -> None:
    def slow(body: dict[str, Any]) -> Reply:
        import time

        time.sleep(1.5)
        return Reply([ANSWER], whole=True)

    with start(slow, silent=0.3) as (client, _):
        answer = chat(client)
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")
    with Store(tmp_path / "other") as store:
        settings = ServerSettings(model="tiny", upstreams=(Upstream(ANY, "http://127.0.0.1:9/v1"),))
        with running(Service(personalizer_of(store), settings)) as client:
            answer = chat(client, model="whatever")
            assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_failed")
            assert chat(client, model="tiny", max_tokens=1).status_code == 200


def test_a_client_that_goes_away_closes_the_upstream(start: Start) -> None:
    def endless() -> Iterator[bytes]:
        import time

        while True:
            yield b"data: {}\n\n"
            time.sleep(0.02)

    with start(lambda body: Reply(endless(), kind="text/event-stream")) as (client, served):
        with client.stream("POST", "/v1/chat/completions", json={"model": "big", "messages": ASKED}) as answer:
            next(answer.iter_bytes())
        assert served.gone.wait(10)


def test_the_deadline_holds_and_a_bad_option_is_refused(start: Start) -> None:
    with start(deadline=1e-6) as (client, served):
        answer = chat(client)
        assert answer.headers["x-penchant-profile"] == "deadline"
        assert served.bodies[0]["messages"] == ASKED
        refused = chat(client, penchant={"explain": True})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "penchant.explain")
        assert "big" in {one["id"] for one in client.get("/v1/models").json()["data"]}


def test_options_are_checked_before_anything_is_served() -> None:
    with pytest.raises(InputError, match="--share big=all"):
        parse_upstreams(["big=https://api.example.com/v1"])
    made = parse_upstreams(
        ["big=https://api.example.com/v1", "http://127.0.0.1:1/v1"],
        ["big=KEY"],
        ["big=kind:review"],
        environment={"KEY": "k"},
    )
    assert [(one.name, one.key) for one in made] == [("big", "k"), (ANY, "")]
    assert made[0].sharing == Sharing(only=(("kind", "review"),))
    assert "k'" not in repr(made[0])
    for bad in (["x"], ["big=all", "--"], ["big=kind"], ["big=all,kind:x"]):
        with pytest.raises(InputError):
            parse_upstreams(["big=https://api.example.com/v1"], [], bad)
    with pytest.raises(InputError, match="environment variable"):
        parse_upstreams(["http://127.0.0.1:1/v1"], ["KEY"], environment={})
