"""A server on a free port of loopback, in a thread of the test process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn

from penchant.serving.app import create_app
from penchant.serving.service import Service


@contextmanager
def running(service: Service) -> Iterator[httpx.Client]:
    """Serve, and give a client whose base URL is the server."""
    server = uvicorn.Server(uvicorn.Config(create_app(service), port=0, log_level="error", timeout_graceful_shutdown=5))
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
