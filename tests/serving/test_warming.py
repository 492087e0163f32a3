"""Histories are read when records arrive, in slices, and a first request finds them read."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from penchant import Store
from penchant.serving.engine import Event, Piece, Prompt
from penchant.serving.schemas import PenchantOptions
from penchant.serving.service import ServerSettings, Service
from tests.index.cases import model_calls, texts
from tests.serving.server import running
from tests.serving.test_engine import prompt
from tests.test_personalizer import personalizer_of

LONG = [f"{number}: {text}" for number, text in enumerate(texts(150, longest=40))]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with Store(tmp_path / "store") as store:
        yield Service(personalizer_of(store), ServerSettings(model="tiny", max_tokens=4))


def until(check: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        time.sleep(0.02)


def unread(service: Service, user: str) -> int:
    made = service.personalizer
    history = made.history(user)
    return made.resources.unread(history, made.segments(history))


def passes(service: Service, work: Callable[[], object]) -> int:
    """How many forward passes a request takes to mark."""
    with model_calls(service.personalizer.resources.lens) as calls:
        work()
    return len(calls)


def profile(client: httpx.Client, user: str) -> httpx.Response:
    return client.post(f"/v1/users/{user}/profile", json={"query": "What about the sea?"}).raise_for_status()


def test_posted_records_are_read_before_anybody_asks(service: Service) -> None:
    with running(service) as client:
        body = "\n".join(f'{{"text": "{text}"}}' for text in LONG)
        client.post("/v1/users/anna/records", content=body, headers={"Content-Type": "application/jsonl"})
        until(lambda: unread(service, "anna") == 0)
        assert passes(service, lambda: profile(client, "anna")) <= 2


def test_records_of_another_process_and_of_before_are_read(service: Service, tmp_path: Path) -> None:
    service.store.add("old", LONG)
    with running(service) as client:
        until(lambda: unread(service, "old") == 0)
        with Store(tmp_path / "store") as other:
            other.add("new", LONG)
        until(lambda: unread(service, "new") == 0)
        assert passes(service, lambda: profile(client, "new")) <= 2


def test_marks_are_those_of_a_history_read_at_once(service: Service, tmp_path: Path) -> None:
    service.store.add("anna", LONG)
    with running(service) as client:
        mine = profile(client, "anna").json()
    with Store(tmp_path / "other") as store:
        store.add("anna", LONG)
        theirs = personalizer_of(store).compress("anna", "What about the sea?", service.settings.budget)
    assert [one["text"] for one in mine["segments"]] == [one.text for one in theirs.segments]
    assert [one["score"] for one in mine["segments"]] == pytest.approx(list(theirs.scores), abs=2e-3)


def test_an_answer_goes_on_while_a_request_reads_a_long_history(service: Service) -> None:
    service.store.add("anna", LONG)

    async def first_request() -> None:
        await service.marked("anna", "What about the sea?", PenchantOptions())

    events: queue.Queue[Event] = queue.Queue()
    try:
        service.engine.answer(_long_answer(), events.put)
        events.get(timeout=30)
        while not events.empty():
            events.get()
        asyncio.run(first_request())
        pieces = sum(isinstance(events.get(), Piece) for _ in range(events.qsize()))
        assert pieces > 5  # read at once, it would be one or none
    finally:
        service.close(0)


def test_erasing_ends_the_reading_and_leaves_no_file(service: Service) -> None:
    held = threading.Event()
    with running(service) as client:
        service.engine.run(lambda: held.wait(10))  # nothing is read before the erasure is asked for
        service.store.add("anna", LONG)
        service.warming.begin("anna")
        timer = threading.Timer(0.3, held.set)
        timer.start()
        receipt = client.delete("/v1/users/anna").raise_for_status().json()["receipt"]
        assert receipt
        time.sleep(0.3)
        assert not service.store.index_dir("anna").exists()
        assert client.get("/v1/users/anna/records").status_code == 404


def test_what_was_not_read_at_shutdown_is_read_later(service: Service, tmp_path: Path) -> None:
    with running(service) as client:
        service.store.add("anna", LONG)
        service.warming.begin("anna")
        client.get("/livez")
    with Store(tmp_path / "store") as store:
        assert store.count("anna") == len(LONG)
        again = Service(personalizer_of(store))
        with running(again):
            until(lambda: unread(again, "anna") == 0)


def _long_answer() -> Prompt:
    return prompt(30, most=2000)
