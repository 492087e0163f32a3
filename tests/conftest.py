"""Shared by all tests. Keep it small."""

import os

import pytest

# The default depends on the processor; what a real model answers should not. Processes that tests start inherit it.
os.environ.setdefault("PENCHANT_DTYPE", "float32")


def pytest_configure(config: pytest.Config) -> None:
    """The process that only hands tests to workers (`pytest -n`) runs none: it is spared the import of torch."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return
    from tests import plugin

    config.pluginmanager.register(plugin)
    plugin.guard_real_models(config)
