"""The list of clients, and with the marker `clients` each of them against a server."""

from collections.abc import Iterator

import pytest

from penchant_lab.clients.__main__ import run, serving, table
from penchant_lab.clients.environments import HERE, clients

CLIENTS = clients()


def test_every_client_is_pinned_and_has_a_program() -> None:
    programs = {path.name for path in (HERE / "programs").iterdir() if path.suffix in {".py", ".mjs"}}
    assert {client.program for client in CLIENTS.values()} == programs
    for client in CLIENTS.values():
        assert all("==" in one for one in client.packages)
        assert all(one.rpartition("@")[0] and one.rpartition("@")[2][0].isdecimal() for one in client.npm)


def test_the_table_says_what_failed() -> None:
    found = {
        "curl": {"passed": True, "answers": {"curl": "Dr. Okafor"}, "error": None},
        "llm": {"passed": False, "answers": {}, "error": "no answer"},
    }
    lines = table({"clients": found, "model": "m", "command": "c"}).splitlines()
    assert any(line.startswith("| curl |") and line.endswith("| curl | personal |") for line in lines)
    assert any(line.startswith("| llm |") and "no: no answer" in line for line in lines)


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with serving("smollm2") as address:
        yield address


@pytest.mark.clients
@pytest.mark.model
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("name", CLIENTS)
def test_a_personal_answer_reaches(name: str, base: str) -> None:
    found = run(CLIENTS[name], base)
    assert found["passed"], found
