"""Reasoning is no part of an answer, in any API, whole or streamed."""

import json
from typing import Any

import httpx
import pytest

from penchant.inference.stopping import AnswerText
from tests.serving.server import client, service  # noqa: F401 (fixtures)

WRITTEN = ["<thi", "nk>\nLet me ", "see.</thi", "nk>\n\nMay", "be."]
ASKED = [{"role": "user", "content": "Who is the dentist?"}]


@pytest.fixture(autouse=True)
def thinking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever tokens are chosen, this is the text that they are decoded to."""
    monkeypatch.setattr(AnswerText, "_new", lambda self: ["", *WRITTEN, ""][len(self._ids)])


def events(response: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


BODY = {"max_tokens": 6, "temperature": 0, "user": "anna", "logit_bias": {}}


def test_chat_completions(client: httpx.Client) -> None:
    body = {**BODY, "messages": ASKED}
    made = client.post("/v1/chat/completions", json=body).json()
    message = made["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("Maybe.", "Let me see.")
    assert made["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0
    deltas = [
        one["choices"][0]["delta"] for one in events(client.post("/v1/chat/completions", json={**body, "stream": True}))
    ]
    assert "".join(one.get("reasoning_content", "") for one in deltas) == "Let me see."
    assert "".join(one.get("content", "") for one in deltas) == "Maybe."


def test_responses(client: httpx.Client) -> None:
    body = {"input": ASKED, "max_output_tokens": 6, "user": "anna", "temperature": 0}
    made = client.post("/v1/responses", json=body).json()
    thought, said = made["output"]
    assert thought["type"] == "reasoning" and thought["content"][0]["text"] == "Let me see."
    assert said["content"][0]["text"] == "Maybe." and made["usage"]["output_tokens_details"]["reasoning_tokens"] > 0
    streamed = events(client.post("/v1/responses", json={**body, "stream": True}))
    output = streamed[-1]["response"]["output"]
    assert [one["type"] for one in output] == ["reasoning", "message"] and output[0]["content"] == thought["content"]
    assert output[1]["content"] == said["content"]
    kinds = [one["type"].removeprefix("response.") for one in streamed]
    assert kinds.index("reasoning_text.done") < kinds.index("output_text.delta")
    added = [one for one in streamed if one["type"] == "response.output_item.added"]
    assert [one["output_index"] for one in added] == [0, 1]
    stored = client.get(f"/v1/responses/{made['id']}?user=anna").json()
    assert [one["type"] for one in stored["output"]] == ["message"]  # reasoning isn't kept


def test_messages(client: httpx.Client) -> None:
    body = {"messages": ASKED, "max_tokens": 6, "metadata": {"user_id": "anna"}}
    made = client.post("/v1/messages", json=body).json()
    assert [block["type"] for block in made["content"]] == ["thinking", "text"]
    assert made["content"][0]["thinking"] == "Let me see." and made["content"][1]["text"] == "Maybe."
    streamed = events(client.post("/v1/messages", json={**body, "stream": True}))
    started = [one["content_block"]["type"] for one in streamed if one["type"] == "content_block_start"]
    deltas = [one["delta"] for one in streamed if one["type"] == "content_block_delta"]
    assert started == ["thinking", "text"]
    assert "".join(one.get("thinking", "") for one in deltas) == "Let me see."
    assert "".join(one.get("text", "") for one in deltas) == "Maybe."
