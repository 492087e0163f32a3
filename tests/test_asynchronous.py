"""The calls for asyncio: the same results, one worker thread, and what is cancelled ends."""

import asyncio
import inspect
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penchant import Answer, AsyncPersonalizer, Conversation, Personalizer, Store
from penchant.asynchronous import AsyncConversation, AsyncStore
from penchant.errors import InputError
from tests.index.cases import calibration_of, lens_of, texts

#: Accessors and what isn't a call with the model: reached through `sync`.
PLAIN = {"loaded", "close", "steering_paths", "render_prompt", "turns", "exchanges", "past", "instructions", "key"}
PLAIN |= {"index_dir", "conversation_dir", "user_dir", "options"}


@pytest.fixture
def personalizer(tmp_path: Path) -> Iterator[Personalizer]:
    lens = lens_of()
    with Store(tmp_path / "store") as store:
        for seed, user in enumerate(("ann", "bob")):
            store.add(user, texts(8, seed))
        yield Personalizer(lens.loaded, store=store, marker="attention", calibration=calibration_of(lens))


def public(kind: type) -> dict[str, Any]:
    return {name: call for name, call in vars(kind).items() if not name.startswith("_") and callable(call)}


@pytest.mark.parametrize(
    ("sync", "twin"),
    [(Personalizer, AsyncPersonalizer), (Conversation, AsyncConversation), (Store, AsyncStore)],
)
def test_every_call_has_its_twin(sync: type, twin: type) -> None:
    calls = public(sync)
    assert calls.keys() - PLAIN == public(twin).keys() - PLAIN
    for name in calls.keys() - PLAIN - {"conversation"}:
        made = getattr(twin, name)
        assert inspect.signature(made) == inspect.signature(calls[name]) and made.__doc__ == calls[name].__doc__
        streams = "Iterator" in str(inspect.signature(calls[name]).return_annotation)
        assert inspect.isasyncgenfunction(made) if streams else inspect.iscoroutinefunction(made)


def test_the_same_results(personalizer: Personalizer) -> None:
    async def run() -> None:
        async with AsyncPersonalizer(personalizer) as twin:
            marks, answer = await asyncio.gather(
                twin.mark("ann", "What?"), twin.ask("bob", "What?", budget=30, max_tokens=6)
            )
            np.testing.assert_array_equal(marks.scores, personalizer.mark("ann", "What?").scores)
            assert answer.text == personalizer.ask("bob", "What?", budget=30, max_tokens=6).text
            pieces = [piece async for piece in twin.stream("bob", "What?", budget=30, max_tokens=6)]
            assert isinstance(pieces[-1], Answer) and pieces[-1].text == answer.text
            assert "".join(piece for piece in pieces if isinstance(piece, str)).strip() == answer.text
            with pytest.raises(InputError, match="compress has no option 'foo'"):
                await twin.compress("ann", "What?", foo=1)  # type: ignore[call-arg]
            conversation = await twin.conversation("ann", "one")
            said = await conversation.say("Hello there.", max_tokens=4)
            assert [turn.text for turn in conversation.sync.turns][:1] == ["Hello there."]
            assert said.text == ((said.number is not None and conversation.sync.turns[-1].text) or "")
        with pytest.raises(InputError, match="this AsyncPersonalizer was closed"):
            await twin.mark("ann", "What?")

    asyncio.run(run())


def test_the_store_does_not_wait_for_the_model(personalizer: Personalizer) -> None:
    async def run() -> None:
        async with AsyncPersonalizer(personalizer) as twin:
            assert twin.store is not None
            gate = threading.Event()
            held = asyncio.ensure_future(twin._worker.run(gate.wait))  # the model is busy
            counts = await asyncio.wait_for(twin.store.add("cat", ["I have a cat.", {"text": "It is grey."}]), 30)
            assert (counts.added, await twin.store.count("cat")) == (2, 2)
            assert [entry.user async for entry in twin.store.all_users()] == ["ann", "bob", "cat"]
            assert len([line async for line in twin.store.export("cat")]) == 2
            assert (await twin.store.forget("cat")).records == 2
            gate.set()
            await held
        with pytest.raises(InputError, match="this AsyncStore was closed"):
            await twin.store.count()

    asyncio.run(run())


def test_one_thread_takes_turns(personalizer: Personalizer, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[int] = set()
    marker = personalizer.marker

    def marked(*given: Any) -> Any:
        threads.add(threading.get_ident())
        return marker(*given)

    personalizer.marker = marked
    order: list[str] = []

    async def stream(twin: AsyncPersonalizer, user: str) -> None:
        async for _ in twin.stream(user, "What?", budget=20, max_tokens=5):
            order.append(user)

    async def run() -> None:
        async with AsyncPersonalizer(personalizer) as twin:
            await asyncio.gather(*(twin.mark(user, "What?") for user in ("ann", "bob", "ann")))
            await asyncio.gather(stream(twin, "ann"), stream(twin, "bob"))

    asyncio.run(run())
    assert len(threads) == 1 and threading.get_ident() not in threads
    assert order != sorted(order)  # between two pieces of one, a piece of the other


def test_a_cancelled_call_ends_at_the_next_pass(personalizer: Personalizer) -> None:
    passes = 0
    started, release = threading.Event(), threading.Event()

    def count(*given: object) -> None:
        nonlocal passes
        passes += 1
        if passes == 12:
            started.set()
            release.wait(10)

    hook = personalizer.loaded.base.register_forward_pre_hook(count)

    async def run() -> None:
        async with AsyncPersonalizer(personalizer) as twin:
            task = asyncio.create_task(twin.ask("ann", "What?", budget=20, max_tokens=200))
            await asyncio.to_thread(started.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            release.set()
            await twin.history("ann")  # the thread is free for it
            assert passes <= 13

    try:
        asyncio.run(run())
    finally:
        hook.remove()


def test_a_stream_that_nobody_listens_to_is_closed(personalizer: Personalizer) -> None:
    async def run() -> None:
        async with AsyncPersonalizer(personalizer) as twin:
            conversation = await twin.conversation("ann", "one")
            stream = conversation.stream("Hello there.", max_tokens=200)
            async for _ in stream:
                break
            await stream.aclose()  # type: ignore[attr-defined]  # an async generator
            turns = conversation.sync.turns
            assert (turns[-1].role, turns[-1].finish) == ("assistant", "interrupted")

    asyncio.run(run())


def test_another_thread_is_not_touched(personalizer: Personalizer) -> None:
    async def run() -> None:
        twin = AsyncPersonalizer(personalizer)
        task = asyncio.create_task(twin.ask("ann", "What?", budget=20, max_tokens=300))
        await asyncio.sleep(0)
        task.cancel()
        personalizer.mark("bob", "What?")  # here, while the other one ends
        await twin.close()

    hooks = len(personalizer.loaded.base._forward_pre_hooks)
    asyncio.run(run())
    assert len(personalizer.loaded.base._forward_pre_hooks) == hooks


def test_what_it_is_made_of() -> None:
    with pytest.raises(InputError, match="'smollm2' is no Personalizer"):
        AsyncPersonalizer("smollm2")  # type: ignore[arg-type]
