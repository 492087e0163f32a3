"""Fixtures of the tests of steering methods; see `steered_cases`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.methods.steered_cases import quicken, trusting


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with trusting(monkeypatch):
        yield
