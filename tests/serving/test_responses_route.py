"""`/v1/responses`: the official client reads what it needs; what was said goes on from there, for its user alone."""

import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from penchant.serving.service import Service
from tests.serving.server import ANNA, client, service  # noqa: F401 (fixtures)

QUESTION = "Who is the dentist?"


@pytest.fixture
def api(client: httpx.Client) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="none", max_retries=0)


@pytest.fixture
def prompts(service: Service, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The rendered prompts that the engine was given since."""
    seen: list[str] = []
    real = service.engine.answer

    def answer(prompt: Any, emit: Any) -> Any:
        seen.append(service.loaded.tokenizer.decode(prompt.tokens.ids))
        return real(prompt, emit)

    monkeypatch.setattr(service.engine, "answer", answer)
    return seen


def post(client: httpx.Client, given: Any = QUESTION, **body: Any) -> httpx.Response:
    return client.post("/v1/responses", json={"input": given, "temperature": 0, **body})


def turns(service: Service, user: str, response: str) -> list[tuple[str, str]]:
    name = response.split("_")[1]
    return [(one.role, one.text) for one in service.store.conversations.turns(user, name)]


def test_a_response_has_what_clients_need(api: openai.OpenAI, service: Service, prompts: list[str]) -> None:
    made = api.responses.create(
        model="tiny", input=QUESTION, instructions="Be brief.", user="anna", temperature=0, max_output_tokens=4
    )
    assert made.output_text and made.object == "response" and made.model == "tiny" and made.created_at
    assert made.status == "incomplete" and made.incomplete_details.reason == "max_output_tokens"
    assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens
    assert made.usage.output_tokens == 4 and made.usage.input_tokens_details.cached_tokens >= 0
    assert "Be brief." in prompts[0] and ANNA in prompts[0]
    again = api.responses.retrieve(made.id, extra_query={"user": "anna"})
    assert again.output_text == made.output_text and again.status == "incomplete" and again.output == made.output
    parts = [{"role": "user", "content": [{"type": "input_text", "text": QUESTION}]}]
    told = {"instructions": "Be brief.", "max_output_tokens": 4, "store": False}
    assert api.responses.create(input=parts, user="anna", temperature=0, **told).status == "incomplete"
    assert prompts[1].count(QUESTION) == 1 and ANNA in prompts[1]


@pytest.mark.parametrize("user", ["anna", None])
def test_the_events_of_a_stream_are_in_order(api: openai.OpenAI, user: str | None) -> None:
    more = {"user": user} if user else {}
    whole = api.responses.create(model="tiny", input=QUESTION, temperature=0, **more)
    got = list(api.responses.create(model="tiny", input=QUESTION, temperature=0, stream=True, **more))
    kinds = [event.type.removeprefix("response.") for event in got]
    assert kinds[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    deltas = kinds[4:-4]
    assert deltas and set(deltas) == {"output_text.delta"}
    assert kinds[-4:] == ["output_text.done", "content_part.done", "output_item.done", whole.status]
    assert [event.sequence_number for event in got] == list(range(len(got)))
    assert "".join(event.delta for event in got if event.type == "response.output_text.delta") == whole.output_text
    assert got[-4].text == got[-1].response.output_text == whole.output_text
    assert got[0].response.id == got[-1].response.id and got[0].response.usage is None
    assert got[-1].response.usage.output_tokens == whole.usage.output_tokens
    assert got[-1].response.store is (user is not None)
    with api.responses.stream(model="tiny", input=QUESTION, temperature=0, **more) as stream:
        last = list(stream)[-1]  # get_final_response() raises for a response that was cut
    assert last.type == f"response.{whole.status}" and last.response.output_text == whole.output_text


def test_streams_have_event_lines_and_no_done(client: httpx.Client) -> None:
    lines = post(client, stream=True).text.splitlines()
    assert "[DONE]" not in lines[-2] and all(line.startswith(("event: ", "data: ")) for line in lines if line)
    named = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert named == [json.loads(line[6:])["type"] for line in lines if line.startswith("data: ")]


def test_a_response_goes_on_from_another(client: httpx.Client, service: Service, prompts: list[str]) -> None:
    system = [{"role": "developer", "content": "You like the sea."}, {"role": "user", "content": "I sail a boat."}]
    first = post(client, system, user="chain").json()
    second = post(client, "What do I sail?", user="chain", previous_response_id=first["id"]).json()
    assert "You like the sea." in prompts[1] and "I sail a boat." in prompts[1] and "What do I sail?" in prompts[1]
    said = [item["content"][0]["text"] for item in first["output"]]
    assert second["previous_response_id"] == first["id"] and first["store"] is second["store"] is True
    answers = [one for one in (*said, second["output"][0]["content"][0]["text"]) if one]
    kept = turns(service, "chain", second["id"])
    assert [text for role, text in kept if role == "user"] == ["I sail a boat.", "What do I sail?"]
    assert [text for role, text in kept if role == "assistant"] == answers
    assert client.get(f"/v1/responses/{second['id']}?user=chain").json()["previous_response_id"] == first["id"]
    listed = client.get("/u/chain/v1/responses/" + first["id"]).json()
    assert listed["output"] == first["output"]


def test_a_second_answer_to_the_same_response_branches(
    client: httpx.Client, service: Service, prompts: list[str]
) -> None:
    first = post(client, "I sail a boat.", user="fork").json()
    one, two = (
        post(client, text, user="fork", previous_response_id=first["id"]).json() for text in ("Where?", "When?")
    )
    assert one["id"].split("_")[1] == first["id"].split("_")[1] != two["id"].split("_")[1]
    assert "Where?" not in prompts[2] and "I sail a boat." in prompts[2]
    assert [text for _, text in turns(service, "fork", two["id"])[:2]] == [
        text for _, text in turns(service, "fork", first["id"])[:2]
    ]
    for last, asked in ((one, "Where?"), (two, "When?")):
        post(client, "Go on.", user="fork", previous_response_id=last["id"])
        assert asked in prompts[-1] and "I sail a boat." in prompts[-1]


def test_what_is_not_this_users_is_not_found(client: httpx.Client, api: openai.OpenAI) -> None:
    mine = post(client, "I sail a boat.", user="mine").json()["id"]
    for more in ({"user": "anna"}, {"user": "nobody-yet"}, {}):
        response = post(client, "And?", previous_response_id=mine, **more)
        error = response.json()["error"]
        assert response.status_code == 404 and error["code"] == "previous_response_not_found"
        assert error["param"] == "previous_response_id" and "boat" not in response.text
        assert client.get(f"/v1/responses/{mine}", params=more).status_code == 404
        assert client.delete(f"/v1/responses/{mine}", params=more).status_code == 404
        reference = [{"type": "item_reference", "id": mine.replace("resp", "msg")}, {"role": "user", "content": "And?"}]
        assert post(client, reference, **more).status_code == 404
    for odd in ("resp_1", "x", "resp_a_b_c", f"{mine}0", "resp_%00_1"):
        assert post(client, "And?", previous_response_id=odd, user="mine").status_code == 404
    with pytest.raises(openai.NotFoundError, match="this user's"):
        api.responses.retrieve(mine, extra_query={"user": "anna"})
    assert client.get(f"/v1/responses/{mine}?user=mine").status_code == 200


def test_nothing_is_kept_unless_wanted(client: httpx.Client, service: Service, prompts: list[str]) -> None:
    before = post(client, "I sail a boat.", user="sparing").json()
    kept = list(service.store.conversations.export("sparing"))
    made = post(client, "Where?", user="sparing", previous_response_id=before["id"], store=False).json()
    assert "I sail a boat." in prompts[-1] and made["store"] is False
    assert post(client, "Hm?", user="sparing", store=False).json()["store"] is False
    assert list(service.store.conversations.export("sparing")) == kept
    assert client.get(f"/v1/responses/{made['id']}?user=sparing").status_code == 404
    assert post(client, "And?", user="sparing", previous_response_id=made["id"]).status_code == 404


def test_off_the_record_holds_for_chains(client: httpx.Client, service: Service, prompts: list[str]) -> None:
    first = post(client, "I sail a boat.", user="shy").json()
    text = "Don't save this, but I have diabetes. What can I eat?"
    secret = post(client, text, user="shy", previous_response_id=first["id"]).json()
    assert "I have diabetes. What can I eat?" in prompts[-1] and "save this" not in prompts[-1]
    assert secret["store"] is False and secret["penchant"]["off_record"] and secret["penchant"]["notice"]
    assert "diabetes" not in "".join(service.store.conversations.export("shy"))
    assert client.get(f"/v1/responses/{secret['id']}?user=shy").status_code == 404
    after = post(client, "Where do I sail?", user="shy", previous_response_id=secret["id"]).json()
    assert after["store"] and "diabetes" not in prompts[-1] and "I sail a boat." in prompts[-1]
    # From now on, until it is taken back; the wish alone is answered by Penchant.
    count = len(prompts)
    wish = post(client, "From now on, off the record.", user="shy", previous_response_id=after["id"]).json()
    assert len(prompts) == count and wish["output"][0]["content"][0]["text"] == wish["penchant"]["notice"]
    hidden = post(client, "My name is Quill.", user="shy", previous_response_id=wish["id"]).json()
    assert hidden["store"] is False and "Quill" not in "".join(service.store.conversations.export("shy"))
    back = post(
        client,
        "You can remember things again. My dog is Bo.",
        user="shy",
        previous_response_id=hidden["id"],
        stream=True,
    )
    assert back.status_code == 200
    exported = "".join(service.store.conversations.export("shy"))
    assert "My dog is Bo." in exported and "Quill" not in exported and "off the record" not in exported.lower()


def test_a_first_turn_off_the_record_can_be_gone_on_from(client: httpx.Client, service: Service) -> None:
    first = post(client, "Off the record: my name is Quill. Who am I?", user="newcomer").json()
    second = post(client, "I sail a boat.", user="newcomer", previous_response_id=first["id"]).json()
    assert second["store"] is True
    exported = "".join(service.store.conversations.export("newcomer"))
    assert "boat" in exported and "Quill" not in exported
    history = [
        {"role": "user", "content": "Don't save this: I am an octogenarian."},
        {"role": "assistant", "content": "An octogenarian, then."},
        {"role": "user", "content": "I sail a ketch."},
    ]
    post(client, history, user="newcomer")
    exported = "".join(service.store.conversations.export("newcomer"))
    assert "ketch" in exported and "octogenarian" not in exported


def test_what_is_to_be_forgotten_leaves_chains_and_records(
    client: httpx.Client, service: Service, prompts: list[str]
) -> None:
    service.store.add("leaver", ["I live in Porto."])
    first = post(client, "I live in Porto. What is the weather?", user="leaver").json()
    count = len(prompts)
    made = post(client, "Forget that I live in Porto.", user="leaver", previous_response_id=first["id"]).json()
    assert len(prompts) == count and made["penchant"]["notice"] == made["output"][0]["content"][0]["text"]
    assert "Porto" not in "".join(service.store.conversations.export("leaver"))
    after = post(client, "Where do I live?", user="leaver", previous_response_id=made["id"])
    assert after.status_code == 200 and "Porto" not in prompts[-1]


def test_erasing_a_response_takes_its_copies_and_leaves_the_others(client: httpx.Client, service: Service) -> None:
    first = post(client, "I sail a boat.", user="tidy").json()
    second = post(client, "In Bergen.", user="tidy", previous_response_id=first["id"]).json()
    third = post(client, "With Kim.", user="tidy", previous_response_id=second["id"]).json()
    post(client, "With Lou.", user="tidy", previous_response_id=second["id"]).json()
    assert "".join(service.store.conversations.export("tidy")).count("Bergen") == 2
    made = client.delete(f"/v1/responses/{second['id']}?user=tidy")
    assert made.json() == {"id": second["id"], "object": "response", "deleted": True}
    exported = "".join(service.store.conversations.export("tidy"))
    assert "Bergen" not in exported and all(one in exported for one in ("boat", "Kim", "Lou"))
    assert client.get(f"/v1/responses/{second['id']}?user=tidy").status_code == 404
    assert post(client, "And?", user="tidy", previous_response_id=second["id"]).status_code == 404
    assert post(client, "And?", user="tidy", previous_response_id=third["id"]).status_code == 200


def test_erasing_the_user_erases_the_chain(client: httpx.Client, service: Service) -> None:
    first = post(client, "My tailor is Mr Quillfeather of Harbour Lane.", user="gone").json()
    assert any(one.owner == "user:gone" for one in service.engine._prefixes._kept.values())
    assert client.delete("/v1/users/gone").json()["receipt"]
    assert client.get(f"/v1/responses/{first['id']}?user=gone").status_code == 404
    assert post(client, "And?", user="gone", previous_response_id=first["id"]).status_code == 404
    assert not any(one.owner == "user:gone" for one in service.engine._prefixes._kept.values())
    folder = Path(service.store.directory)
    assert not any(b"Quillfeather" in file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_a_user_erased_meanwhile_does_not_come_back(
    client: httpx.Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(client, "I sail a boat.", user="race")
    from penchant.serving.chains import Chains

    real = Chains.keep

    def keep(self: Chains, *given: Any) -> None:
        service.store.forget("race")
        real(self, *given)

    monkeypatch.setattr(Chains, "keep", keep)
    response = post(client, "In Bergen.", user="race")
    assert response.status_code == 409 and "erased meanwhile" in response.json()["error"]["message"]
    post(client, "I sail a boat.", user="race", store=False)
    assert not service.store.conversations.list("race")
    service.store.add("race", ["I sail a boat."])
    last = post(client, "In Bergen.", user="race", stream=True).text.split("\n\n")[-3:]
    assert "response.failed" in last[0] and "erased meanwhile" in last[1]


def test_a_failed_stream_is_raised_by_the_client(
    api: openai.OpenAI, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step() -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(service.engine._batch, "step", step)
    got = []
    with pytest.raises(openai.APIError, match="its log says why"):
        for event in api.responses.create(model="tiny", input=QUESTION, stream=True):
            got.append(event)
    assert got[-1].type == "response.failed" and got[-1].response.error.message


def test_clients_that_send_everything_again_are_stored_once(client: httpx.Client, service: Service) -> None:
    first = post(client, "I sail a boat.", user="again").json()
    (item,) = first["output"]
    asked = {"role": "user", "content": "I sail a boat."}
    for answer in (item, {"type": "item_reference", "id": item["id"]}):
        second = post(client, [asked, answer, {"role": "user", "content": "Where?"}], user="again").json()
        kept = turns(service, "again", second["id"])
        assert [text for role, text in kept if role == "user"] == ["I sail a boat.", "Where?"]
    assert "".join(service.store.conversations.export("again")).count("Where?") == 2  # the second one branched off
    changed = [{"role": "user", "content": "I own a car."}, item, {"role": "user", "content": "Where?"}]
    third = post(client, changed, user="again").json()
    assert third["id"].split("_")[1] != first["id"].split("_")[1]


def test_a_named_conversation_goes_on(client: httpx.Client, service: Service, prompts: list[str]) -> None:
    service.store.add("cass", ["I like tea."])
    for given in ("notes", {"id": "notes"}):
        post(client, f"I sail boat {len(prompts)}.", user="cass", conversation=given)
    assert "I sail boat 0." in prompts[1]
    assert [one.text for one in service.store.conversations.turns("cass", "notes") if one.role == "user"] == [
        "I sail boat 0.",
        "I sail boat 1.",
    ]
    assert post(client, user="cass", conversation="a/b").status_code == 400
    assert post(client, conversation="notes").status_code == 404
    assert post(client, user="cass", conversation="notes", previous_response_id="resp_a_1").status_code == 400


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"input": []}, 400, ("input", "at least 1")),
        ({"input": [{"role": "wizard", "content": "x"}]}, 400, ("input.0.role", "expected user")),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, 400, ("input.0.content", "text only")),
        ({"input": [{"type": "computer_call"}]}, 400, ("input.0", "text only")),
        ({"input": [{"type": "reasoning"}]}, 400, ("input", "no message")),
        ({"tools": [{"type": "web_search"}]}, 400, ("tools", "can't call tools")),
        ({"model": "gpt-9"}, 404, ("model", "use 'tiny'")),
        ({"background": True}, 400, ("background", "stream")),
        ({"prompt": {"id": "p"}}, 400, ("prompt", "templates")),
        ({"max_output_tokens": 0}, 400, ("max_output_tokens", "greater than or equal to 1")),
        ({"text": {"format": {"type": "verse"}}}, 400, ("text.format", "verse")),
        ({"input": "word " * 3_000}, 400, (None, "shorten it")),
        ({"user": "anna", "metadata": {"user_id": "ben"}}, 400, ("user", "different users")),
    ],
)
def test_errors_come_before_anything_is_kept(
    client: httpx.Client, service: Service, body: dict[str, Any], status: int, told: tuple[str | None, str]
) -> None:
    param, message = told
    kept = [one.id for one in service.store.conversations.list("anna")]
    for stream in (False, True):
        response = client.post("/v1/responses", json={"input": QUESTION, "user": "anna", "stream": stream, **body})
        error = response.json()["error"]
        assert response.status_code == status, error
        assert message in error["message"] and (param is None or error["param"] == param)
    assert [one.id for one in service.store.conversations.list("anna")] == kept


def test_json_of_a_schema(client: httpx.Client) -> None:
    schema = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}
    form = {"type": "json_schema", "name": "answer", "schema": {**schema, "additionalProperties": False}}
    made = post(client, text={"format": form}, max_output_tokens=60).json()
    assert made["status"] == "completed" and isinstance(
        json.loads(made["output"][0]["content"][0]["text"])["yes"], bool
    )
    assert made["text"]["format"] == form


def test_tools_that_may_not_be_called_are_no_matter(client: httpx.Client) -> None:
    tools = [{"type": "function", "name": "f", "parameters": {}}]
    given = [
        {"role": "user", "content": QUESTION},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "42"},
    ]
    made = post(client, given, tools=tools, tool_choice="none", metadata={"user_id": "anna", "topic": "x"})
    assert made.status_code == 200 and made.headers["x-penchant-user-from"] == "metadata.user_id"
    assert made.json()["metadata"]["topic"] == "x" and made.json()["tools"] == tools


def test_log_probabilities(api: openai.OpenAI) -> None:
    include = ["message.output_text.logprobs"]
    whole = api.responses.create(model="tiny", input=QUESTION, temperature=0, include=include, top_logprobs=2)
    found = whole.output[0].content[0].logprobs
    assert len(found) == whole.usage.output_tokens and len(found[0].top_logprobs) == 2
