"""Hooks and fixtures of all tests, in every process that runs some. Keep it small."""

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import shapes

shapes.install()  # before anything of Penchant is imported

import tests.record_strategies  # noqa: E402, F401 (any record: st.from_type(Record))
from tests import shared_models  # noqa: E402

shared_models.install()  # before anything imports load_model

from penchant.models import loading  # noqa: E402
from penchant.models.gguf import GgufSource  # noqa: E402
from penchant.models.loading import LoadedModel, load_model  # noqa: E402
from tests.commands import home, penchant, tiny_directory  # noqa: E402, F401 (fixtures)
from tests.postgres import open_store, places, postgres  # noqa: E402, F401 (fixtures)

# The machine may be busy: a slow example is no failing one.
settings.register_profile("penchant", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("penchant")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that use a real model come first: the slowest, last, would leave one worker alone with them."""
    slow = {item.path for item in items if item.get_closest_marker("model")}
    items.sort(key=lambda item: item.path not in slow)


class _RealModels:
    """Lets only tests marked `model` find the models in PyPI packages, so that `make test-fast` never loads one. What a
    command does in a process of its own is seen by what it leaves in the cache: the fixture `home` looks."""

    allowed = False

    def guard(self, find: Callable[[str], GgufSource]) -> Callable[[str], GgufSource]:
        @functools.wraps(find)
        def found(name: str) -> GgufSource:
            source = find(name)
            if not self.allowed:
                pytest.fail(f"{name} is loaded by a test without the marker `model`")
            return source

        return found

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.allowed = item.get_closest_marker("model") is not None
        try:
            return (yield)
        finally:
            self.allowed = False


def guard_real_models(config: pytest.Config) -> None:
    models = _RealModels()
    loading.embedded_source = models.guard(loading.embedded_source)
    config.pluginmanager.register(models)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of development data ($PENCHANT_DATA, or ../shared/data beside the repository). For tests marked
    `data`: skipped where it is missing, failed on CI."""
    named = os.environ.get("PENCHANT_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        message = f"no development data at {folder}: set PENCHANT_DATA"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def smollm2() -> LoadedModel:
    """The embedded model, loaded once. For tests marked `model`; don't change it."""
    return load_model("smollm2")
