"""The engine: many answers in one batch, each what it is alone."""

import queue
import threading
from collections.abc import Iterator

import pytest
import torch

from penchant.errors import PenchantError
from penchant.inference.answer_row import PromptTokens
from penchant.inference.generation import generate
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.runtime import steered
from penchant.inference.sampling import Sampling
from penchant.inference.sites import Site
from penchant.models.loading import LoadedModel
from penchant.serving.engine import Begun, BusyError, Ended, Engine, Event, Piece, Prompt
from tests.families import tiny

LOADED = tiny("llama")


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine(LOADED, rows=4)
    yield made
    made.close()


def prompt(start: int, length: int = 20, most: int = 8, owner: str = "", **given: object) -> Prompt:
    sampling = Sampling(temperature=1.0, seed=start)
    ids = tuple(range(start, start + length))
    return Prompt(PromptTokens(ids, most, sampling, stop_repetition=False), owner, **given)


def ask(engine: Engine, one: Prompt) -> "queue.Queue[Event]":
    events: queue.Queue[Event] = queue.Queue()
    engine.answer(one, events.put)
    return events


def whole(events: "queue.Queue[Event]") -> tuple[str, Begun, Ended]:
    text, begun = "", events.get(timeout=30)
    assert isinstance(begun, Begun)
    while True:
        event = events.get(timeout=30)
        if isinstance(event, Exception):
            raise event
        if isinstance(event, Ended):
            return text, begun, event
        assert isinstance(event, Piece)
        text += event.text


def alone(loaded: LoadedModel, one: Prompt) -> str:
    with steered(loaded.model, one.intervention, [len(one.tokens.ids)]):
        return generate(loaded, [one.tokens])[0].text


def test_answers_in_a_crowd_are_those_of_each_alone(engine: Engine) -> None:
    prompts = [prompt(20 + 3 * number, 17 + number, 5 + number % 4) for number in range(11)]
    waiting = [ask(engine, one) for one in prompts]
    for one, events in zip(prompts, waiting, strict=True):
        text, begun, _ = whole(events)
        assert text.strip() == alone(LOADED, one)
        assert begun.tokens == len(one.tokens.ids)


def test_rows_of_different_scopes_run_together(engine: Engine) -> None:
    site = Site(2, "block")
    width = LOADED.model.config.hidden_size
    torch.manual_seed(0)
    prompts = [
        prompt(40, most=9, intervention=scope and Intervention({site: Edit(6 * torch.randn(1, width))}, scope))
        for scope in ("all", "after_prompt", None, "last_4")
    ]
    expected = [alone(LOADED, one) for one in prompts]
    assert len(set(expected)) > 2
    waiting = [ask(engine, one) for one in prompts]
    assert [whole(events)[0].strip() for events in waiting] == expected


def test_calls_run_between_the_steps_of_an_answer(engine: Engine) -> None:
    events = ask(engine, prompt(30, most=60))
    assert isinstance(events.get(timeout=30), Begun)
    names = [engine.run(lambda: threading.current_thread().name).result(30) for _ in range(3)]
    assert set(names) == {"penchant-engine"}
    with pytest.raises(ZeroDivisionError):
        engine.run(lambda: 1 // 0).result(30)
    while not isinstance(events.get(timeout=30), Ended):
        pass


def test_only_the_same_owner_goes_on_from_a_cached_prompt(engine: Engine) -> None:
    first = prompt(30, 40, owner="anna")
    whole(ask(engine, first))
    longer = tuple(range(30, 75))
    for owner, cached in (("ben", 0), ("anna", 40)):
        again = Prompt(PromptTokens(longer, 6, stop_repetition=False), owner)
        text, begun, _ = whole(ask(engine, again))
        assert begun.cached == cached
        assert text.strip() == alone(LOADED, again)
    engine.forget("anna").result(30)
    assert whole(ask(engine, Prompt(PromptTokens((*longer, 3), 4), "anna")))[1].cached == 0


def test_a_steered_answer_is_read_from_no_cache_and_leaves_none(engine: Engine) -> None:
    intervention = Intervention({Site(1, "block"): Edit(torch.full((1, LOADED.model.config.hidden_size), 3.0))}, "all")
    whole(ask(engine, prompt(30, 40, owner="anna", intervention=intervention)))
    assert whole(ask(engine, prompt(30, 45, owner="anna")))[1].cached == 0
    assert whole(ask(engine, prompt(30, 50, owner="anna", intervention=intervention)))[1].cached == 0


def test_erasing_ends_what_runs_and_what_waits() -> None:
    engine = Engine(LOADED, rows=1)
    try:
        running, waiting = (ask(engine, prompt(30, most=300, owner="anna")) for _ in range(2))
        other = ask(engine, prompt(50, owner="ben"))
        assert isinstance(running.get(timeout=30), Begun)
        engine.forget("anna").result(30)
        for events in (running, waiting):
            with pytest.raises(PenchantError, match="erased"):
                while not isinstance(event := events.get(timeout=30), Ended):
                    if isinstance(event, Exception):
                        raise event
        whole(other)
        assert not any(one.owner == "anna" for one in engine._prefixes._kept.values())
    finally:
        engine.close()


def test_a_cache_that_cannot_be_kept_ends_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(engine._prefixes, "keep", broken)
    for number in range(2):
        whole(ask(engine, prompt(30 + number, owner="anna")))


def test_a_cancelled_answer_frees_its_row(engine: Engine) -> None:
    events: queue.Queue[Event] = queue.Queue()
    ticket = engine.answer(prompt(30, most=100), events.put)
    assert isinstance(events.get(timeout=30), Begun)
    ticket.cancel()
    whole(ask(engine, prompt(60)))
    assert engine.load == (0, 0)


def test_a_full_queue_refuses() -> None:
    engine = Engine(LOADED, rows=1, waiting=2)
    gate = threading.Event()
    try:
        blocked = engine.run(gate.wait)
        while engine.load[1]:
            pass
        waiting = [ask(engine, prompt(30)), ask(engine, prompt(31))]
        with pytest.raises(BusyError, match="2 requests are waiting"):
            engine.run(lambda: None)
        with pytest.raises(BusyError, match="try again"):
            ask(engine, prompt(32))
        gate.set()
        blocked.result(30)
        for events in waiting:
            whole(events)
    finally:
        gate.set()
        engine.close()
    with pytest.raises(BusyError, match="shutting down"):
        ask(engine, prompt(33))


def test_closing_finishes_what_was_taken() -> None:
    engine = Engine(LOADED, rows=2)
    waiting = [ask(engine, prompt(30 + number, most=20)) for number in range(5)]
    engine.close()
    for events in waiting:
        whole(events)


def test_an_answer_that_takes_too_long_at_the_end_is_given_up() -> None:
    engine = Engine(LOADED)
    events = ask(engine, prompt(30, most=400))
    assert isinstance(events.get(timeout=30), Begun)
    engine.close(0)
    with pytest.raises(BusyError, match="shut down"):
        while not isinstance(event := events.get(timeout=30), Ended):
            if isinstance(event, Exception):
                raise event


def test_a_failing_prompt_fails_alone(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    events = ask(engine, Prompt(PromptTokens((10**9,) * 20, 4), ""))
    assert isinstance(events.get(timeout=30), Exception)
    assert whole(ask(engine, prompt(30)))[0].strip() == alone(LOADED, prompt(30))


def test_a_failing_step_tells_all_who_wait(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> object:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(engine._batch, "step", broken)
        events = ask(engine, prompt(30))
        assert isinstance(events.get(timeout=30), Begun)
        assert isinstance(events.get(timeout=30), RuntimeError)
    assert whole(ask(engine, prompt(31)))[0].strip() == alone(LOADED, prompt(31))
