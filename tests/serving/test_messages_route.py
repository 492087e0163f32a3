"""`/v1/messages`: Anthropic's client reads what it needs, whole and streamed."""

import json
from typing import Any

import anthropic
import httpx
import pytest

from penchant.inference.stopping import AnswerText
from penchant.serving.service import Service
from tests.serving.server import ANNA, client, service  # noqa: F401 (fixtures)
from tests.serving.test_responses_route import prompts  # noqa: F401 (fixture)

ASKED = [{"role": "user", "content": "Who is the dentist?"}]
ANNAS = {"user_id": "anna"}


@pytest.fixture
def api(client: httpx.Client) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=str(client.base_url), api_key="none", max_retries=0)


def create(api: anthropic.Anthropic, **more: Any) -> Any:
    # The client has no argument for the temperature any more.
    greedy = {"extra_body": {"temperature": 0}}
    return api.messages.create(model="tiny", max_tokens=6, messages=ASKED, **greedy, **more)


def test_a_message_has_what_clients_need(api: anthropic.Anthropic, prompts: list[str]) -> None:
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    made = create(api, system=system, metadata=ANNAS)
    assert made.type == "message" and made.role == "assistant" and made.model == "tiny" and made.id
    assert [block.type for block in made.content] == ["text"] and made.content[0].text
    assert made.stop_reason in {"end_turn", "max_tokens"} and made.stop_sequence is None
    assert 0 < made.usage.output_tokens <= 6 and made.usage.input_tokens > 0
    assert "Be brief." in prompts[0] and ANNA in prompts[0]
    raw = api.messages.with_raw_response.create(
        model="tiny@anna", max_tokens=4, messages=[{"role": "user", "content": [{"type": "text", "text": "Hi?"}]}]
    )
    assert raw.headers["x-penchant-user"] == "anna" and raw.headers["request-id"] == raw.parse().id
    nobody = api.messages.with_raw_response.create(model="tiny", max_tokens=4, messages=ASKED)
    assert nobody.headers["x-penchant-profile"] == "no-user"


def test_cached_tokens_are_not_counted_as_input(api: anthropic.Anthropic) -> None:
    told = [*ASKED, {"role": "assistant", "content": "Nobody."}, {"role": "user", "content": "Are you sure?"}]
    off = {"penchant": {"knowledge": "none"}}
    sent = {"model": "tiny", "max_tokens": 2, "system": "You answer briefly and you like the sea.", "metadata": ANNAS}
    first = api.messages.create(messages=ASKED, extra_body=off, **sent).usage
    second = api.messages.create(messages=told, extra_body=off, **sent).usage
    assert first.cache_read_input_tokens == 0 < second.cache_read_input_tokens
    size = api.messages.count_tokens(
        model="tiny", messages=told, system=sent["system"], extra_body={**off, "metadata": ANNAS}
    )
    assert second.input_tokens + second.cache_read_input_tokens == size.input_tokens
    more = api.messages.count_tokens(model="tiny", messages=told, extra_body={"metadata": ANNAS, "system": "x"})
    none = api.messages.count_tokens(model="tiny", messages=told, system="x")
    assert more.input_tokens > none.input_tokens  # with the profile


def test_the_events_of_a_stream_are_in_order(api: anthropic.Anthropic) -> None:
    whole = create(api, metadata=ANNAS)
    got = list(create(api, metadata=ANNAS, stream=True))
    kinds = [event.type for event in got]
    assert kinds[:2] == ["message_start", "content_block_start"] and "content_block_delta" in kinds
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert "".join(one.delta.text for one in got if one.type == "content_block_delta") == whole.content[0].text
    begun, ended = got[0].message, got[-2]
    assert begun.content == [] and begun.usage.input_tokens > 0 and begun.stop_reason is None
    assert ended.delta.stop_reason == whole.stop_reason and ended.usage.output_tokens == whole.usage.output_tokens
    sent = {"messages": ASKED, "metadata": ANNAS, "extra_body": {"temperature": 0}}
    with api.messages.stream(model="tiny", max_tokens=6, **sent) as stream:
        final = stream.get_final_message()
    assert final.content[0].text == whole.content[0].text and final.stop_reason == whole.stop_reason


def test_stop_sequences_are_named(api: anthropic.Anthropic, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AnswerText, "_new", lambda self: f"word{len(self._ids)} ")
    made = create(api, stop_sequences=["never", "word3"])
    assert (made.stop_reason, made.stop_sequence) == ("stop_sequence", "word3")
    assert made.content[0].text == "word1 word2"
    got = list(create(api, stop_sequences=["word3"], stream=True))
    assert (got[-2].delta.stop_reason, got[-2].delta.stop_sequence) == ("stop_sequence", "word3")
    assert create(api).stop_reason == "max_tokens"


def test_tools_and_thinking_of_past_turns(api: anthropic.Anthropic, prompts: list[str]) -> None:
    past = [
        {"role": "user", "content": "What is six times seven?"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Secret thought", "signature": ""},
                {"type": "tool_use", "id": "1", "name": "f", "input": {}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "42"}]},
        {"role": "assistant", "content": "42."},
        *ASKED,
    ]
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    made = api.messages.create(model="tiny", max_tokens=3, messages=past, tools=tools, tool_choice={"type": "none"})
    assert made.content and "42" in prompts[0] and "Secret thought" not in prompts[0]
    with pytest.raises(anthropic.BadRequestError, match="can't call tools"):
        create(api, tools=tools)


def test_json_of_a_schema(api: anthropic.Anthropic) -> None:
    schema = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}
    form = {"format": {"type": "json_schema", "schema": {**schema, "additionalProperties": False}}}
    made = api.messages.create(model="tiny", max_tokens=60, messages=ASKED, output_config=form)
    assert isinstance(json.loads(made.content[0].text)["yes"], bool) and made.stop_reason == "end_turn"


@pytest.mark.parametrize(
    ("body", "status", "param", "message"),
    [
        ({"max_tokens": None}, 400, "max_tokens", "valid integer"),
        ({"messages": []}, 400, "messages", "at least 1"),
        ({"messages": [*ASKED, {"role": "assistant", "content": "It is"}]}, 400, "messages", "aren't continued"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, 400, "messages.0.content.0", "text only"),
        ({"system": [{"type": "image"}]}, 400, "system", "text only"),
        ({"model": "claude-9"}, 404, "model", "use 'tiny'"),
        ({"output_config": {"format": {"type": "verse"}}}, 400, "output_config.format", "verse"),
        ({"metadata": ANNAS, "user": "ben"}, 400, "user", "different users"),
    ],
)
def test_errors_have_both_forms(
    client: httpx.Client, body: dict[str, Any], status: int, param: str, message: str
) -> None:
    for stream in (False, True):
        sent = {"messages": ASKED, "max_tokens": 6, "stream": stream, **body}
        response = client.post("/v1/messages", json=sent)
        told = response.json()
        assert response.status_code == status and set(told) == {"type", "error"} and told["type"] == "error", told
        assert set(told["error"]) == {"message", "type", "param", "code"}
        assert told["error"]["param"] == param and message in told["error"]["message"]


def test_the_client_raises_errors_with_their_text(
    api: anthropic.Anthropic, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(anthropic.NotFoundError, match="use 'tiny'") as raised:
        api.messages.create(model="claude-9", max_tokens=1, messages=ASKED)
    assert raised.value.type == "not_found_error"

    def step() -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(service.engine._batch, "step", step)
    with pytest.raises(anthropic.APIStatusError, match="its log says why"):
        list(create(api, stream=True))
    with pytest.raises(anthropic.InternalServerError, match="its log says why"):
        create(api)
