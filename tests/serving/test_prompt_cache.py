"""The prompt-cache contract: what a client sent keeps its bytes, and what was read once isn't read again."""

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penchant import Store
from penchant.serving.prompt import newest_user_turn, with_profile
from penchant.serving.service import ServerSettings, Service
from tests.serving.server import running
from tests.test_personalizer import personalizer_of

PARTS = st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text()}))
TURNS = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["system", "user", "assistant", "tool"]),
            "content": st.text()
            | st.none()
            | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text()})),
        }
    ),
    max_size=8,
)


@given(messages=TURNS, profile=st.text())
def test_everything_but_the_newest_user_turn_keeps_its_bytes(messages: list[dict[str, Any]], profile: str) -> None:
    before = [dict(one) for one in messages]
    made, at = with_profile(messages, profile), newest_user_turn(messages)
    assert messages == before and len(made) == len(messages)
    for number, (one, sent) in enumerate(zip(made, messages, strict=True)):
        if number != at or not profile.strip():
            assert one == sent
        elif isinstance(sent["content"], list):
            assert one["content"][1:] == sent["content"] and profile.strip() in one["content"][0]["text"]
        else:
            assert one["content"].endswith(sent["content"] or "") and profile.strip() in one["content"]
    assert with_profile(messages, profile) == made


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Store(tmp_path_factory.mktemp("cache") / "store") as store:
        store.add("anna", [f"Fact number {number} is about the town of Bergen." for number in range(12)])
        with running(Service(personalizer_of(store), ServerSettings(max_tokens=12))) as made:
            yield made


def talk(client: httpx.Client, turns: int, **body: Any) -> list[tuple[int, int]]:
    """Hold a conversation; return cached and all tokens of each prompt."""
    repeated = []
    messages = [{"role": "system", "content": "You answer briefly and you like the sea. " * 2}]
    counts = []
    for number in range(turns):
        messages.append({"role": "user", "content": f"What about fact number {number} of the town?"})
        made = client.post("/v1/chat/completions", json={"messages": messages, "temperature": 0, **body}).json()
        counts.append((made["usage"]["prompt_tokens_details"]["cached_tokens"], made["usage"]["prompt_tokens"]))
        repeated.append(made["usage"].get("penchant", {}).get("repeated_tokens"))
        messages.append({"role": "assistant", "content": made["choices"][0]["message"]["content"] or "Yes."})
    if "user" not in body:
        assert repeated == [None] * turns  # of prompts that name nobody nothing is remembered
    elif "budget" in body["penchant"]:
        assert all(0 < count < before for count, (_, before) in zip(repeated[1:], counts, strict=False))
    else:
        assert repeated[1:] == [before for _, before in counts[:-1]]  # the client's own prompts: each begins the next
    return counts


def test_most_of_a_long_conversation_is_read_from_the_cache(client: httpx.Client) -> None:
    alone = talk(client, 8, user="anna", penchant={"knowledge": "none"})
    personal = talk(client, 8, user="anna", penchant={"budget": 40})
    assert all(size > other for (_, size), (_, other) in zip(personal, alone, strict=True))
    share = sum(cached for cached, _ in personal[1:]) / sum(cached for cached, _ in alone[1:])
    assert alone[-1][0] > 0.6 * alone[-1][1]
    assert share > 0.7, (personal, alone)  # over 30 turns: penchant_lab.serving
    assert not any(cached for cached, _ in talk(client, 2))  # of requests that name nobody
