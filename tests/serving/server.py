"""A server on a free port of loopback, in a thread of the test process; one with a tiny model and two users."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from penchant import Store
from penchant.serving.app import create_app
from penchant.serving.service import ServerSettings, Service
from tests.test_personalizer import personalizer_of

ANNA, BEN = "The dentist is Dr. Voss on Elm Street.", "The tuner is Ms Lind from Bergen."


@contextmanager
def running(service: Service) -> Iterator[httpx.Client]:
    """Serve, and give a client whose base URL is the server."""
    with serving(create_app(service)) as client:
        yield client


@contextmanager
def serving(app: Any) -> Iterator[httpx.Client]:
    """Serve an application, and give a client whose base URL is the server."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Closed by the server."""
    with Store(tmp_path_factory.mktemp("server") / "store") as store:
        store.add("anna", [ANNA, "I like green tea."])
        store.add("ben", [BEN])
        yield Service(personalizer_of(store), ServerSettings(model="tiny", max_tokens=6, body_bytes=20_000))


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[httpx.Client]:
    with running(service) as made:
        yield made
