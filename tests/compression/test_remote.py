"""Against a real HTTP server on 127.0.0.1: scripted answers, errors, and a tiny model that really generates."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from penchant.compression.extractive import extractive
from penchant.compression.remote import remote
from penchant.errors import EndpointError, InputError
from penchant.history.records import Request
from penchant.inference.generation import generate_stream
from penchant.models.chat import render_chat
from tests.compression.cases import history_of, marks_of, tokenizer_of, whole_records
from tests.families import tiny

TOKENIZER = tokenizer_of("bytes")
REQUEST = Request("What should I cook?")
HISTORY = history_of("Caroline is allergic to peanuts.", "The film was too long.", "I cooked rice for 12 guests.")
MARKS = marks_of(whole_records(HISTORY), [5.0, 0.0, 4.0])
GOOD = "Caroline is allergic to peanuts. I cooked rice for 12 guests."
KEY = "sk-very-secret"

Reply = tuple[int, bytes, dict[str, str]]
Answer = Callable[[dict[str, Any]], Reply]


def completion(text: str) -> Reply:
    return 200, json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode(), {}


class Endpoint:
    """What the server saw: bodies, authorization headers and times, in order."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.paths: list[str] = []
        self.times: list[float] = []


@contextmanager
def endpoint(*answers: Answer | Reply) -> Iterator[Endpoint]:
    """A server that gives the answers in turn, the last one again and again."""
    seen: Endpoint

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            seen.times.append(time.monotonic())
            seen.keys.append(self.headers.get("authorization"))
            seen.paths.append(self.path)
            seen.bodies.append(body)
            answer = answers[min(len(seen.bodies), len(answers)) - 1]
            status, content, headers = answer(body) if callable(answer) else answer
            try:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client that timed out has gone

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    seen = Endpoint(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def compress(served: Endpoint, **options: Any) -> Any:
    settings: dict[str, Any] = {"api_key": KEY, "backoff": 0.01, "timeout": 5.0, **options}
    return remote(served.base_url, "some-model", TOKENIZER, **settings)(HISTORY, REQUEST, MARKS, 60)


def test_a_faithful_answer_becomes_the_profile() -> None:
    with endpoint(completion(GOOD)) as served:
        profile = compress(served)
    assert profile.text == GOOD
    assert not profile.fallback
    assert profile.compressor == "remote"
    assert profile.tokens <= 60
    (body,) = served.bodies
    assert served.paths == ["/v1/chat/completions"]
    assert served.keys == [f"Bearer {KEY}"]
    assert body["model"] == "some-model"
    assert body["temperature"] == 0
    assert body["max_tokens"] >= 60
    user = body["messages"][-1]["content"]
    assert "<start_important>Caroline is allergic to peanuts.<end_important>" in user
    assert "What should I cook?" in user


def test_a_real_model_behind_the_endpoint() -> None:
    loaded = tiny("llama")

    def generate(body: dict[str, Any]) -> Reply:
        prompt = render_chat(loaded, body["messages"][-1:])
        return completion("".join(generate_stream(loaded, prompt[-300:], max_new_tokens=body["max_tokens"])))

    with endpoint(generate) as served:
        profile = compress(served, strict=True)
    assert profile.fallback  # random weights write noise; the check refuses it, which is no error of the endpoint
    assert profile.text == extractive(TOKENIZER)(HISTORY, REQUEST, MARKS, 60).text
    assert "not in the history" in profile.reason or "no sentence" in profile.reason or "empty" in profile.reason


def test_an_invented_fact_falls_back_even_when_strict() -> None:
    with endpoint(completion("Caroline is allergic to walnuts.")) as served:
        profile = compress(served, strict=True)
    assert profile.fallback
    assert profile.reason == "words that are not in the history: walnuts"


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_passing_error_is_tried_again(status: int) -> None:
    with endpoint((status, b"busy", {}), (status, b"busy", {}), completion(GOOD)) as served:
        assert compress(served).text == GOOD
    assert len(served.bodies) == 3


def test_retry_after_is_obeyed() -> None:
    with endpoint((429, b"", {"retry-after": "1"}), completion(GOOD)) as served:
        assert not compress(served).fallback
    assert served.times[1] - served.times[0] >= 0.9


def slow(body: dict[str, Any]) -> Reply:
    time.sleep(0.6)
    return completion(GOOD)


@pytest.mark.parametrize(
    ("answer", "options", "tries", "reason"),
    [
        ((500, b"on fire", {}), {"retries": 2}, 3, "answered 500 Internal Server Error: on fire (tried 3 times)"),
        ((401, f"bad key {KEY}".encode(), {}), {}, 1, "answered 401 Unauthorized: bad key ***"),
        ((200, b"not json", {}), {}, 1, "gave no chat completion"),
        ((200, b'{"choices": []}', {}), {}, 1, "gave no chat completion"),
        ((200, b'{"choices": [{"message": {"content": null}}]}', {}), {}, 1, "isn't text: None"),
        ((200, b"[1, 2]", {}), {}, 1, "gave no chat completion"),
        (slow, {"timeout": 0.15, "retries": 1}, 2, "did not answer in time"),
    ],
)
def test_errors_of_the_endpoint(answer: Answer | Reply, options: dict[str, Any], tries: int, reason: str) -> None:
    with endpoint(answer) as served:
        profile = compress(served, **options)
        assert len(served.bodies) == tries
        assert profile.fallback
        assert reason in profile.reason
        assert profile.text == extractive(TOKENIZER)(HISTORY, REQUEST, MARKS, 60).text
        with pytest.raises(EndpointError) as raised:
            compress(served, strict=True, **options)
    assert reason in str(raised.value)
    assert KEY not in str(raised.value)
    assert KEY not in profile.reason


def test_an_endpoint_that_is_not_there() -> None:
    with endpoint(completion(GOOD)) as served:
        gone = served.base_url
    profile = remote(gone, "m", TOKENIZER, retries=0, api_key="")(HISTORY, REQUEST, MARKS, 60)
    assert profile.fallback
    assert "can't reach" in (profile.reason or "")
    with pytest.raises(InputError, match="not a URL"):
        remote("localhost:8000", "m", TOKENIZER)


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint(completion(GOOD)) as served:
        monkeypatch.setenv("OPENAI_API_KEY", "from-outside")
        compress(served, api_key=None)
        monkeypatch.delenv("OPENAI_API_KEY")
        compress(served, api_key=None)
        compress(served, api_key="")
    assert served.keys == ["Bearer from-outside", None, None]
