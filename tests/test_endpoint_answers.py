"""Answers through an endpoint: the local model marks, the endpoint answers, and nothing falls back silently."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penchant import AsyncPersonalizer, Endpoint, Personalizer, Store
from penchant.errors import EndpointError, InputError
from penchant.inference import generation
from tests.commands import REQUEST, TEXTS, Invoke, write_history
from tests.index.cases import calibration_of, history_of, lens_of
from tests.openai_server import Reply, Served, error, event, serving, stream, streamed


@pytest.fixture(autouse=True)
def no_local_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: object) -> None:
        pytest.fail("the local model answered")

    monkeypatch.setattr(generation, "decode", fails)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def personalizer_of(served: Served, store: Store | None = None) -> Personalizer:
    lens = lens_of()
    endpoint = Endpoint(served.base_url, "m", timeout=5.0, retries=0)
    return Personalizer(
        lens.loaded, store=store, marker="attention", calibration=calibration_of(lens), endpoint=endpoint
    )


def test_the_profile_is_in_the_messages() -> None:
    with serving(stream("By the ", "sea.", usage={"prompt_tokens": 7})) as served:
        personalizer = personalizer_of(served)
        *pieces, answer = personalizer.stream(history_of(TEXTS), REQUEST, budget=40, max_tokens=5)
        assert pieces == ["By the ", "sea."]
        assert (answer.text, answer.finish, answer.prompt_tokens) == ("By the sea.", "stop", 7)  # type: ignore[union-attr]
        assert answer.served is not None and answer.served.model == "m-1"  # type: ignore[union-attr]
        profile = personalizer.compress(history_of(TEXTS), REQUEST, 40)
        personalizer.close()
    (body,) = served.bodies
    assert [one["role"] for one in body["messages"]] == ["system", "user"]
    assert profile.text and profile.text in body["messages"][1]["content"]


def test_what_needs_the_local_model_is_refused_before_any_work() -> None:
    with serving(stream("no")) as served:
        personalizer = personalizer_of(served)
        personalizer.marker = lambda *given: pytest.fail("marked")
        for ask in (
            lambda: personalizer.ask(history_of(TEXTS), REQUEST, steer="emphasis"),
            lambda: personalizer.ask_many([(history_of(TEXTS), REQUEST)], steer="fints"),
            lambda: personalizer.conversation(priority=1.0),
        ):
            with pytest.raises(InputError, match=r"m at http.* leave out the (steering|priority), or the endpoint"):
                ask()
        assert served.bodies == []


def test_an_error_is_no_reason_to_answer_locally() -> None:
    with serving(error(404, "no such model")) as served:
        personalizer = personalizer_of(served)
        with pytest.raises(EndpointError, match="no such model"):
            personalizer.ask(history_of(TEXTS), REQUEST)
        with pytest.raises(EndpointError, match="no such model"):
            personalizer.ask_many([(history_of(TEXTS), REQUEST)] * 2)


def test_many_are_answered() -> None:
    with serving(lambda body: stream(body["messages"][-1]["content"].rpartition("Question: ")[2])) as served:
        asked = [(history_of(TEXTS), text) for text in ("One?", "Two?", "Three?")]
        counts: list[int] = []
        answers = personalizer_of(served).ask_many(
            asked, budget=30, progress=lambda step, done, total: counts.append(done) if step == "answering" else None
        )
    assert [answer.text for answer in answers] == ["One?", "Two?", "Three?"]
    assert counts == [1, 2, 3]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as made:
        yield made


OPTIONS: Any = {"memory": "recent-5", "detector": "patterns", "budget": 300}


def test_a_conversation(store: Store) -> None:
    replies = [
        streamed([event({"reasoning_content": "They want"}), event({"content": "Noted."}), event({}, "stop")]),
        stream("Half an ans", finish=None),
        stream(*["and I like the sea "] * 400),
        error(500, "on fire"),
        stream("Under the pot."),
    ]
    with serving(*replies) as served:
        conversation = personalizer_of(served, store).conversation("ann", "one", **OPTIONS)
        first = conversation.say("The key is under the blue pot.")
        assert (first.text, first.reasoning) == ("Noted.", "<think>\nThey want\n</think>")
        assert first.served is not None
        assert conversation.say("Where is it?").finish == "broken"
        assert conversation.say("Where?").finish == "repetition"
        with pytest.raises(EndpointError, match="on fire"):
            conversation.say("Where now?")
        *_, last = conversation.retry()
        assert last.text == "Under the pot."  # type: ignore[union-attr]
    kept = [(turn.text, turn.finish) for turn in store.conversations.turns("ann", "one") if turn.role == "assistant"]
    assert kept[1] == ("Half an ans", "broken")
    assert [finish for _, finish in kept] == ["stop", "broken", "repetition", "stop"]
    said = [one["content"] for one in served.bodies[-1]["messages"]]
    assert "Noted." in said
    assert not any(word in text for text in said for word in ("They want", "Half an", "I like the sea"))


def slow(release: threading.Event) -> Iterator[bytes]:
    yield event({"content": "One"})
    release.wait(10)


def test_a_cancelled_call_ends_while_it_waits(store: Store) -> None:
    release, started = threading.Event(), threading.Event()
    store.add("ann", list(TEXTS))

    def answer(body: dict[str, Any]) -> Reply:
        started.set()
        return streamed(slow(release))

    async def run(served: Served) -> None:
        async with AsyncPersonalizer(personalizer_of(served, store)) as twin:
            conversation = await twin.conversation("ann", "one", **OPTIONS)
            task = asyncio.create_task(conversation.say("Hello there."))
            await asyncio.to_thread(started.wait, 5)
            await asyncio.sleep(0.3)  # the first piece is there
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(twin.history("ann"), 3)  # the thread is free for it
            last = conversation.sync.turns[-1]
            assert (last.text, last.finish) == ("One", "interrupted")
        release.set()

    with serving(answer) as served:
        asyncio.run(run(served))


def endpoint_options(served: Served) -> tuple[str, ...]:
    return ("--endpoint", served.base_url, "--endpoint-model", "m", "--model", "{model}", "--marker", "bm25")


def test_ask_says_who_answered(penchant: Invoke, tmp_path: Path) -> None:
    own = ("ask", REQUEST, "--history", write_history(tmp_path / "history.jsonl"))
    with serving(stream("By the sea.")) as served:
        document = penchant(*own, *endpoint_options(served), "--json").document
        assert (document["answer"], document["model"], document["endpoint"]) == ("By the sea.", "m-1", served.base_url)
        assert document["marking_model"] and document["usage"]["prompt_tokens"] is None
        ran = penchant(*own, *endpoint_options(served))
        assert ran.out == "By the sea.\n" and "answered by m-1 at" in ran.err and "sent to" not in ran.err
        refused = penchant(*own, *endpoint_options(served), "--steer", "fints")
        assert "--steer changes the local model" in refused.reason()
        assert len(served.bodies) == 2
    with serving(error(401, "who?")) as served:
        assert "answered 401" in penchant(*own, *endpoint_options(served)).reason(1)
    assert "--endpoint-model NAME" in penchant(*own, "--endpoint", "http://localhost/v1").reason()
    assert "need --endpoint URL" in penchant(*own, "--endpoint-model", "m").reason()


def test_the_environment_names_an_endpoint(penchant: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = ("ask", REQUEST, "--history", write_history(tmp_path / "history.jsonl"), *("--model", "{model}"))
    with serving(stream("By the sea.")) as served:
        monkeypatch.setenv("PENCHANT_ENDPOINT", served.base_url)
        monkeypatch.setenv("PENCHANT_ENDPOINT_MODEL", "m")
        monkeypatch.setenv("MY_KEY", "secret")
        document = penchant(*own, "--marker", "bm25", "--endpoint-key-env", "MY_KEY", "--json").document
        assert document["endpoint"] == served.base_url and served.keys == ["Bearer secret"]
        assert penchant("compress", *own[1:], "--marker", "bm25").code == 0
        assert "expected an environment variable" in penchant(*own, "--endpoint-key-env", "NO_KEY").reason()


def test_chat_says_what_broke(penchant: Invoke) -> None:
    with serving(stream("Half", finish=None), error(400, "on fire"), stream("Hello.")) as served:
        own = ("chat", "--user", "ann", "--memory", "recent-5", *endpoint_options(served))
        document = penchant(*own, "--json", stdin="Hi\nStill there?\nAnd now?\n").document
    assert (document["model"], document["endpoint"]) == ("m", served.base_url)
    first, second, third = document["turns"]
    assert (first["answer"], first["finish"]) == ("Half", "broken")
    assert "on fire" in second["error"]
    assert third["answer"] == "Hello."
    with serving(stream("Half", finish=None)) as served:
        own = ("chat", "--user", "ann", "--memory", "recent-5", *endpoint_options(served))
        assert "the endpoint's stream broke off; it won't be read again" in penchant(*own, stdin="Hi\n").err


@pytest.mark.model
def test_a_fact_of_the_history_reaches_the_endpoint() -> None:
    from penchant.demo.samples import sample_users

    history = next(one for one, _ in sample_users() if one.user == "ruth")
    with serving(stream("Mr Adeyemi.")) as served:
        endpoint = Endpoint(served.base_url, "m")
        answer = Personalizer(endpoint=endpoint).ask(history, "What is the name of my dentist now?")
    assert answer.text == "Mr Adeyemi."
    assert answer.profile is not None and answer.profile.tokens <= answer.profile.budget
    assert "Adeyemi" in served.bodies[0]["messages"][-1]["content"]
