"""An endpoint that answers, against a real HTTP server: streams, ends, errors, interruptions."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from penchant.cancellation import cancelled_by
from penchant.errors import EndpointError, InputError
from penchant.inference.chat_completions import Usage
from penchant.inference.endpoint import Endpoint, EndpointStream
from penchant.text.reasoning import split_reasoning
from tests.openai_server import DONE, Reply, Served, error, event, serving, stream, streamed

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]
KEY = "sk-very-secret"


def endpoint_of(served: Served, **options: Any) -> Endpoint:
    return Endpoint(served.base_url, "m", **{"api_key": KEY, "timeout": 5.0, "retries": 0, "backoff": 0.01, **options})


def asked(served: Served, **options: Any) -> EndpointStream:
    return endpoint_of(served, **options).stream(MESSAGES, max_tokens=9)


def whole(content: object, finish: str | None = "stop", **more: Any) -> Reply:
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **more}, "finish_reason": finish}
    return Reply([json.dumps({"model": "m-1", "choices": [choice]}).encode()], whole=True)


def test_a_stream_of_pieces() -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 16}}
    with serving(stream("Hi", " there", usage=usage)) as served:
        made = endpoint_of(served, options={"top_p": 0.5, "stop": ["\n"]}).stream(
            MESSAGES, max_tokens=9, temperature=0.25, seed=3
        )
        assert made.finish is None
        assert list(made) == ["Hi", " there"]
    assert made.finish == "stop"
    assert (made.served.model, made.served.base_url) == ("m-1", served.base_url)
    assert made.served.usage == Usage(20, 3, 16)
    (body,) = served.bodies
    assert body == {
        "model": "m",
        "messages": MESSAGES,
        "max_tokens": 9,
        "temperature": 0.25,
        "seed": 3,
        "stream": True,
        "stream_options": {"include_usage": True},
        "top_p": 0.5,
        "stop": ["\n"],
    }
    assert (served.paths, served.keys) == (["/v1/chat/completions"], [f"Bearer {KEY}"])


def test_what_is_not_asked_for_is_left_to_the_endpoint() -> None:
    with serving(stream("Hi")) as served:
        list(asked(served, api_key=""))
    assert served.bodies[0].keys() == {"model", "messages", "max_tokens", "stream", "stream_options"}
    assert served.keys == [None]


def test_characters_and_events_may_be_split_anywhere() -> None:
    text = "Grüße, 你好 👋\u2028 still one line"
    data = b": a comment\r\n\r\n" + event({"content": text}).replace(b"\n", b"\r\n") + event({}, "length") + DONE
    with serving(streamed(data[at : at + 1] for at in range(len(data)))) as served:
        made = asked(served)
        assert "".join(made) == text
    assert made.finish == "length"


@pytest.mark.parametrize(
    ("told", "finish"),
    [("stop", "stop"), ("length", "length"), ("content_filter", "filtered"), ("abort", "broken"), ("EOS", "stop")],
)
def test_why_it_ended(told: str, finish: str) -> None:
    with serving(stream("Hi", finish=told), whole("Hi", told)) as served:
        made = asked(served)
        assert (list(made), made.finish) == (["Hi"], finish)
        assert endpoint_of(served).complete(MESSAGES, max_tokens=9).finish == finish


def test_a_stream_that_ends_without_a_reason_is_broken() -> None:
    short = Reply(
        [*stream("Half an", finish=None).body], kind="text/event-stream", headers={"content-length": "100000"}
    )
    with serving(stream("Half an", finish=None), short) as served:
        for _ in range(2):  # a connection that ends, and one that ends too early
            made = asked(served)
            assert (list(made), made.finish) == (["Half an"], "broken")


@pytest.mark.parametrize("events", [[], [event({"role": "assistant"})], [DONE]], ids=["none", "role", "done"])
def test_a_stream_that_ends_before_anything_is_said(events: list[bytes]) -> None:
    with serving(streamed(events)) as served:
        made = asked(served)
        with pytest.raises(EndpointError, match="ended its stream without an answer"):
            list(made)
    assert made.finish == "broken"


@pytest.mark.parametrize(
    "data",
    [b'data: {"error": {"message": "out of memory"}}\n\n', b'data: {"detail": "out of memory"}\n\n', b"data: {\n\n"],
)
def test_an_error_in_a_stream(data: bytes) -> None:
    with serving(streamed([event({"content": "Half"}), data])) as served:
        made = asked(served)
        assert next(made) == "Half"
        with pytest.raises(EndpointError, match=r"out of memory|gave no chat completion"):
            next(made)
    assert made.finish == "broken"
    assert list(made) == []


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_beside_the_text_is_marked(field: str) -> None:
    events = [event({field: "Hm, "}), event({field: "well.", "content": None}), event({"content": "Hi"})]
    with serving(streamed([*events, event({}, "stop"), DONE]), whole("Hi", **{field: "Hm, well."})) as served:
        streaming = "".join(asked(served))
        for text in (streaming, endpoint_of(served).complete(MESSAGES, max_tokens=9).text):
            assert split_reasoning(text) == ("Hi", "<think>\nHm, well.\n</think>")
    with serving(streamed([*events[:2], event({}, "length"), DONE])) as served:
        assert split_reasoning("".join(asked(served))) == ("", "<think>\nHm, well.")


def test_contents_in_parts_and_refusals() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"type": "text", "text": "Hi"}]
    with serving(whole(parts), whole(None, refusal="I can't say.")) as served:
        endpoint = endpoint_of(served)
        assert split_reasoning(endpoint.complete(MESSAGES, max_tokens=9).text) == ("Hi", "<think>\nHm\n</think>")
        assert endpoint.complete(MESSAGES, max_tokens=9).text == "I can't say."


def test_an_endpoint_that_does_not_stream() -> None:
    with serving(whole("All at once", None)) as served:
        made = asked(served)
        assert (list(made), made.finish) == (["All at once"], "stop")


def test_an_answer_that_repeats_itself_is_ended() -> None:
    with serving(streamed(event({"content": "and I like the sea "}) for _ in itertools.count())) as served:
        made = asked(served)
        text = "".join(made)
        assert made.finish == "repetition"
        assert text.count("the sea") < 60
        assert served.gone.wait(5)  # the server, which would go on for ever, has noticed


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (error(401, f"Bad key {KEY}"), r"answered 401 Unauthorized: Bad key \*\*\*; expected another key"),
        (error(404, "no such model"), "answered 404 Not Found: no such model; check the URL .* model's name 'm'"),
        (error(429, "slow down", retry_after="7"), "answered 429 .*: slow down; it asks to wait 7 seconds"),
        (Reply([b'{"detail": [{"msg": "n"}]}'], 422), 'answered 422 .*: {"msg": "n"}'),
        (Reply([b"<html><body>Bad</body></html>"], 502), "answered 502 Bad Gateway$"),
        (Reply([], 308, headers={"location": "https://x/v1"}), "redirects to: https://x/v1"),
        (Reply([b"<html>Log in</html>"], kind="text/html"), "gave no chat completion: expected .*got '<html>Log in"),
        (Reply([b'{"error": "no"}']), "gave an error: no"),
        (Reply([b'{"choices": []}']), "gave no chat completion"),
    ],
)
def test_errors_in_one_line(reply: Reply, says: str) -> None:
    with serving(reply) as served:
        for ask in (lambda: list(asked(served)), lambda: endpoint_of(served).complete(MESSAGES, max_tokens=9)):
            with pytest.raises(EndpointError, match=says) as raised:
                ask()
            line = str(raised.value)
            assert "\n" not in line and KEY not in line and line.startswith(served.base_url)


def test_no_key_is_named_when_one_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serving(error(401, "key?")) as served, pytest.raises(EndpointError, match="set OPENAI_API_KEY"):
        list(asked(served, api_key=None))


def test_what_passes_is_tried_again_before_the_stream_begins() -> None:
    with serving(error(503, "loading"), error(429, "busy"), stream("Hi")) as served:
        assert list(asked(served, retries=2)) == ["Hi"]
    with serving(error(503, "loading")) as served:
        with pytest.raises(EndpointError, match=r"loading \(tried 3 times\)"):
            list(asked(served, retries=2))
        assert len(served.bodies) == 3
    with pytest.raises(EndpointError, match=f"can't reach {served.base_url}.*is it running"):
        list(asked(served))


def test_an_endpoint_that_takes_other_fields() -> None:
    def answer(body: dict[str, Any]) -> Reply:
        if "max_tokens" in body:
            return error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        return error(422, "stream_options: extra input") if "stream_options" in body else stream("Hi")

    with serving(answer) as served:
        endpoint = endpoint_of(served)
        for requests in (3, 4):  # what was learned is remembered
            assert list(endpoint.stream(MESSAGES, max_tokens=9)) == ["Hi"]
            assert len(served.bodies) == requests
    assert served.bodies[-1]["max_completion_tokens"] == 9


def silent(release: threading.Event) -> Iterator[bytes]:
    yield event({"content": "One"})
    release.wait(10)
    for _ in range(50):  # what the client no longer reads
        yield event({"content": "two"}) * 100
        time.sleep(0.01)


def test_silence_is_an_error() -> None:
    release = threading.Event()
    with serving(lambda body: streamed(silent(release))) as served:
        made = asked(served, timeout=0.3)
        assert next(made) == "One"
        with pytest.raises(EndpointError, match=r"silent for 0\.3 seconds"):
            next(made)
        release.set()


class _Stopped(BaseException):
    pass


def test_waiting_can_be_interrupted() -> None:
    release = threading.Event()
    began = time.monotonic()

    def check() -> None:
        if time.monotonic() - began > 0.3:
            raise _Stopped

    with serving(lambda body: streamed(silent(release))) as served:
        made = asked(served)
        assert next(made) == "One"
        with pytest.raises(_Stopped), cancelled_by(check):
            next(made)
        assert time.monotonic() - began < 3
        assert (made.finish, list(made)) == (None, [])
        release.set()
        assert served.gone.wait(5)


def test_a_closed_stream_ends_the_connection() -> None:
    release = threading.Event()
    with serving(lambda body: streamed(silent(release))) as served:
        made = asked(served)
        next(made)
        made.close()
        release.set()
        assert served.gone.wait(5)
    assert made.finish is None


def test_many_at_once_keep_their_order() -> None:
    together, most = threading.Barrier(3), []

    def answer(body: dict[str, Any]) -> Reply:
        together.wait(10)  # three at the same time, or none
        return stream(body["messages"][0]["content"].upper())

    with serving(answer) as served:
        prompts = [[{"role": "user", "content": text}] for text in ("a", "b", "c")]
        replies = endpoint_of(served).complete_many(prompts, max_tokens=3, done=most.append)
        assert [reply.text for reply in replies] == ["A", "B", "C"]
        assert most == [1, 2, 3]


def test_for_asyncio() -> None:
    async def run(served: Served) -> list[str]:
        endpoint = endpoint_of(served)
        chunks = [chunk.text async for chunk in endpoint.chunks(MESSAGES, max_tokens=9)]
        reply = await endpoint.acomplete(MESSAGES, max_tokens=9)
        await endpoint.aclose()
        return [*chunks, reply.text]

    with serving(stream("Hi"), whole("Ho")) as served:
        assert "".join(asyncio.run(run(served))) == "HiHo"


def test_lone_surrogates_are_replaced() -> None:
    with serving(stream("Hi")) as served:
        list(endpoint_of(served).stream([{"role": "user", "content": "a\ud800b"}], max_tokens=9))
    assert served.bodies[0]["messages"][0]["content"] == "a\ufffdb"


@pytest.mark.parametrize(
    ("url", "options", "says"),
    [
        ("localhost:8000", {}, "is not a URL"),
        ("http://", {}, "is not a URL"),
        ("http://u:p@host/v1", {}, "holds a password"),
        ("http://host/v1", {"model": " "}, "no model named"),
        ("http://host/v1", {"api_key": "schlüssel"}, "can't be sent in a header"),
        ("http://host/v1", {"timeout": 0.0}, "a timeout above 0"),
    ],
)
def test_what_is_no_endpoint(url: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Endpoint(url, **{"model": "m", **options})


@pytest.mark.parametrize(
    ("url", "loopback"),
    [("http://localhost:1/v1", True), ("http://127.8.0.1/v1", True), ("http://[::1]:80", True), ("https://a.b", False)],
)
def test_what_stays_on_this_machine(url: str, loopback: bool) -> None:
    assert Endpoint(f"{url}/chat/completions/", "m", api_key=f"{KEY}\n").loopback is loopback
    assert KEY not in repr(Endpoint(url, "m", api_key=KEY))
