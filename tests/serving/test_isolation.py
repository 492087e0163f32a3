"""Many users at once, mixed requests: nobody is answered with another's words, and the log has nobody's."""

import logging
from pathlib import Path

import pytest

from penchant import Store
from penchant.serving.service import ServerSettings, Service
from penchant_lab.serving.visitors import crowd, leaks, people
from tests.serving.server import running
from tests.test_personalizer import personalizer_of

PEOPLE = people(8, seed=3)


def made_service(store: Store) -> Service:
    return Service(personalizer_of(store), ServerSettings(model="tiny", rows=8))


@pytest.mark.slow
@pytest.mark.parametrize("tenants", [False, True])
def test_nobody_gets_the_words_of_another(tmp_path: Path, caplog: pytest.LogCaptureFixture, tenants: bool) -> None:
    caplog.set_level(logging.DEBUG, logger="penchant")
    with Store(tmp_path / "store") as store, running(made_service(store)) as client:
        keys = [store.api_keys.create(tenant, "admin")[1] for tenant in ("acme", "other", "third")] if tenants else []
        seen = crowd(str(client.base_url), PEOPLE, clients=4, requests=200, seed=1, keys=keys)
        metrics = client.get("/metrics").text
    assert seen.foreign == []
    assert not seen.failures
    assert seen.compared > 20 and seen.differing == 0
    # It can be seen: who asks finds their own words.
    assert all(seen.own[kind] for kind in ("chat", "render", "profile", "records", "rerank", "wrong"))
    assert set(seen.statuses["responses"]) >= {"200"} and set(seen.statuses["messages"]) == {"200"}
    assert not list(leaks(caplog.text)) and not list(leaks(metrics))


def test_users_that_are_mixed_up_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(tmp_path / "store") as store:
        service = made_service(store)
        compress = service.personalizer.compress
        monkeypatch.setattr(service.personalizer, "compress", lambda user, *rest: compress(PEOPLE[0].name, *rest))
        with running(service) as client:
            seen = crowd(str(client.base_url), PEOPLE[:4], clients=2, requests=40, seed=1)
    assert "render" in seen.foreign or "profile" in seen.foreign
