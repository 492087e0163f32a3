"""Answers in JSON of a schema."""

import json
from typing import Any

import httpx
import pytest

from tests.serving.server import client, service  # noqa: F401 (fixtures)

SCHEMA = {
    "type": "object",
    "properties": {
        "count": {"type": "integer", "minimum": 0, "maximum": 9},
        "sure": {"type": "boolean"},
        "colour": {"enum": ["red", "deep blue"]},
    },
    "required": ["count", "sure", "colour"],
    "additionalProperties": False,
}


def ask(client: httpx.Client, response_format: Any, **body: Any) -> httpx.Response:
    given = {"messages": [{"role": "user", "content": "Count."}], "max_tokens": 80, **body}
    return client.post("/v1/chat/completions", json={**given, "response_format": response_format})


@pytest.mark.parametrize("temperature", [0, 1])
def test_the_answer_conforms_to_the_schema(client: httpx.Client, temperature: float) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}
    choices = ask(client, form, temperature=temperature, n=4, seed=1).json()["choices"]
    for choice in choices:
        made = json.loads(choice["message"]["content"])
        assert choice["finish_reason"] == "stop"
        assert set(made) == {"count", "sure", "colour"}
        assert 0 <= made["count"] <= 9 and isinstance(made["sure"], bool) and made["colour"] in ("red", "deep blue")
    assert temperature == 0 or len({choice["message"]["content"] for choice in choices}) > 1


def test_any_object(client: httpx.Client) -> None:
    text = ask(client, {"type": "json_object"}, max_tokens=4).json()["choices"][0]["message"]["content"]
    assert text.startswith("{")
    assert ask(client, {"type": "text"}).status_code == 200


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"type": "xml"}, "expected text, json_object or json_schema"),
        ({"type": "json_schema"}, "expected text, json_object or json_schema"),
        ({"type": "json_schema", "json_schema": {"schema": {"type": "wizard"}}}, "the schema can't be followed"),
        ({"type": "json_schema", "json_schema": {"schema": {"$ref": "#/nowhere"}}}, "the schema can't be followed"),
    ],
)
def test_what_cannot_be_followed_is_refused(client: httpx.Client, form: Any, message: str) -> None:
    response = ask(client, form)
    error = response.json()["error"]
    assert response.status_code == 400 and error["param"] == "response_format" and message in error["message"]
