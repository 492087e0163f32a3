"""The server as a process: killed or told to end under load, it has every record that it acknowledged."""

import signal
import socket
import threading
import time

import httpx
import pytest

from penchant import Store
from tests.commands import Home, home, process, tiny_directory  # noqa: F401 (fixtures)
from tests.warm_process import WarmProcess


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


def started(home: Home) -> tuple[WarmProcess, str]:
    port = free_port()
    server = process(home, "serve", "--port", port, "--model", home.model)
    url, until = f"http://127.0.0.1:{port}", time.monotonic() + 120
    while True:
        try:
            assert httpx.get(f"{url}/livez").is_success
            return server, url
        except httpx.TransportError:
            assert server.poll() is None and time.monotonic() < until
            time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_acknowledged_record_is_lost(home: Home, number: int) -> None:
    server, url = started(home)
    acknowledged: list[set[str]] = [set() for _ in range(4)]

    def write(mine: set[str], user: str) -> None:
        with httpx.Client(base_url=url, timeout=60) as client:
            for at in range(10_000):
                record = {"id": f"r{at}", "text": f"Record {at} of {user}, which must be kept."}
                try:
                    made = client.post(f"/v1/users/{user}/records", json=record)
                except httpx.TransportError:
                    return
                if made.status_code == 200:
                    mine.add(record["id"])

    writers = [
        threading.Thread(target=write, args=(mine, f"user{at}"), daemon=True) for at, mine in enumerate(acknowledged)
    ]
    for writer in writers:
        writer.start()
    until = time.monotonic() + 60
    while min(map(len, acknowledged)) < 10:
        assert time.monotonic() < until
        time.sleep(0.02)
    server.send_signal(number)
    for writer in writers:
        writer.join(60)
        assert not writer.is_alive()
    server.communicate(timeout=60)
    assert server.returncode == -number  # uvicorn raises the signal again when everything has ended
    with Store(home.store) as store:
        for at, mine in enumerate(acknowledged):
            kept = [record.id for record in store.history(f"user{at}")]
            assert len(kept) == len(set(kept)) and mine <= set(kept)
