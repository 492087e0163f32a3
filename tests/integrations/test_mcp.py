"""The memory for assistants: the official client remembers, recalls, asks why and forgets, over pipes and in memory."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import mcp
import pytest

from penchant import Store
from penchant.errors import InputError
from penchant.integrations.mcp import mcp_server
from tests.commands import Home, Invoke
from tests.serving.server import serving
from tests.test_personalizer import personalizer_of


def said(result: Any) -> str:
    assert not result.is_error, result
    return str(result.content[0].text)


async def use(client: Any) -> None:
    """Everything that an assistant does with a memory."""
    assert {tool.name for tool in (await client.list_tools()).tools} == {"remember", "recall", "why", "forget"}
    assert said(await client.call_tool("recall", {"query": "Who is my dentist?"})) == ""
    record = said(await client.call_tool("remember", {"text": "My dentist is Dr. Voss on Elm Street."}))
    await client.call_tool("remember", {"text": "I play the cello."})
    notes = said(await client.call_tool("recall", {"query": "Who is my dentist?", "budget": 60}))
    assert "Dr. Voss" in notes
    reasons = json.loads(said(await client.call_tool("why", {"query": "Who is my dentist?"})))
    assert record in {one["record"] for one in reasons}
    assert record in said(await client.call_tool("forget", {"record": record}))
    assert "Voss" not in said(await client.call_tool("recall", {"query": "Who is my dentist?"}))
    refused = await client.call_tool("forget", {"record": record})
    assert refused.is_error and "no record" in refused.content[0].text
    refused = await client.call_tool("recall", {"query": "Who is my dentist?", "budget": -1})
    assert refused.is_error


def test_a_memory_of_one_user(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        store.add("ben", ["My dentist is Dr. Lind in Bergen."])
        server = mcp_server(personalizer_of(store), "anna")

        async def run() -> None:
            async with mcp.Client(server) as client:
                await use(client)

        asyncio.run(run())
        assert store.count("ben") == 1


def test_a_memory_over_pipes(home: Home, tmp_path: Path) -> None:
    arguments = ["-m", "penchant", "mcp", "--user", "anna", "--model", str(home.model), "--marker", "bm25"]
    log = tmp_path / "stderr"

    async def run() -> None:
        with log.open("w") as errors:
            parameters = mcp.StdioServerParameters(command=sys.executable, args=arguments, env=dict(home.environment))
            transport = mcp.client.stdio.stdio_client(parameters, errlog=errors)
            async with mcp.Client(transport) as client:
                await use(client)

    asyncio.run(run())
    assert "Traceback" not in log.read_text()


def test_a_memory_over_http(tmp_path: Path) -> None:
    with (
        Store(tmp_path / "store") as store,
        serving(mcp_server(personalizer_of(store), "anna").streamable_http_app()) as web,
    ):

        async def run() -> None:
            async with mcp.Client(f"{web.base_url}/mcp") as client:
                await use(client)

        asyncio.run(run())
        foreign = web.post("/mcp", json={}, headers={"Host": "evil.example"})
        assert foreign.status_code in {403, 421}


def test_bad_input_is_refused_before_the_model_is_read(penchant: Invoke) -> None:
    assert "expected one of 127.0.0.1" in penchant("mcp", "--user", "a", "--http", "--host", "0.0.0.0").reason()
    with pytest.raises(InputError, match="needs a store"):
        mcp_server(personalizer_of(None), "anna")
