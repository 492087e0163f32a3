"""Shared by all tests. Keep it small."""

import gc
import os

import pytest

# The default depends on the processor; what a real model answers should not. Processes that tests start inherit it.
os.environ.setdefault("PENCHANT_DTYPE", "float32")


# What is imported stays: looking through it for garbage, over and over, is a third of what the imports cost.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_configure(config: pytest.Config) -> None:
    """The process that only hands tests to workers (`pytest -n`) runs none: it is spared the import of torch."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return
    from tests import plugin

    config.pluginmanager.register(plugin)
    plugin.guard_real_models(config)
