"""`penchant doctor --server`, against a real server."""

import json
from pathlib import Path

import httpx
import pytest

from penchant import Store
from penchant.serving.service import ServerSettings, Service
from tests.commands import Invoke
from tests.serving.server import client, running, service  # noqa: F401 (fixtures)
from tests.test_personalizer import personalizer_of


def test_a_server_that_is_sound(penchant: Invoke, client: httpx.Client, service: Service) -> None:
    users = service.store.count(), list(service.store.users())
    document = penchant("doctor", "--server", f"{client.base_url}/v1", "--json").document
    assert document["sound"] and len(document["checks"]) == 8, document
    assert (service.store.count(), list(service.store.users())) == users


def test_a_key_is_needed_and_taken(penchant: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(tmp_path / "keys") as store:
        monkeypatch.setenv("A_KEY", store.api_keys.create("acme", "read")[1])
        with running(Service(personalizer_of(store), ServerSettings(max_tokens=4))) as client:
            without = penchant("doctor", "--server", client.base_url, "--json")
            assert without.code == 1 and "a key is needed" in without.out
            assert penchant("doctor", "--server", client.base_url, "--server-key-env", "A_KEY", "--json").document[
                "sound"
            ]


def test_what_is_no_server(penchant: Invoke) -> None:
    for wrong in ("127.0.0.1:8000", "http://[::1", "ftp://host", "http://"):
        assert "is not a URL" in penchant("doctor", "--server", wrong).reason()
    assert (
        "NO_SUCH_KEY"
        in penchant("doctor", "--server", "http://127.0.0.1:1", "--server-key-env", "NO_SUCH_KEY").reason()
    )
    ran = penchant("doctor", "--server", "http://127.0.0.1:1", "--json")
    assert ran.code == 1 and not any(one["passed"] for one in json.loads(ran.out)["checks"])
    assert "is it running?" in ran.out
