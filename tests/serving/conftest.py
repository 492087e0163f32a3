"""A server with a tiny model and two users."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from penchant import Store
from penchant.serving.service import ServerSettings, Service
from tests.serving.server import running
from tests.test_personalizer import personalizer_of

ANNA, BEN = "The dentist is Dr. Voss on Elm Street.", "The tuner is Ms Lind from Bergen."


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Closed by the server."""
    folder: Path = tmp_path_factory.mktemp("server")
    with Store(folder / "store") as store:
        store.add("anna", [ANNA, "I like green tea."])
        store.add("ben", [BEN])
        yield Service(personalizer_of(store), ServerSettings(model="tiny", max_tokens=6, body_bytes=20_000))


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[httpx.Client]:
    with running(service) as made:
        yield made
