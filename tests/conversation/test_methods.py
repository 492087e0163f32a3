"""Every memory, on a tiny model: the budget holds, a grown conversation is as a new one, and options do as they say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.conversation.context import Context, Dialogue, Memory, Spans
from penchant.conversation.instructions.registry import make_detector
from penchant.conversation.memories import penchant as module
from penchant.conversation.memories.penchant import penchant
from penchant.conversation.memories.rhea import VECTORS, States
from penchant.conversation.prompt_rendering import TokenCounter
from penchant.conversation.registry import MEMORIES, make_memory
from penchant.conversation.retrieval import PlattScaling
from penchant.errors import InputError
from penchant.history.dialogue import Instruction
from penchant.history.records import Segment
from penchant.models.chat import render_chat
from penchant.models.tokenization import prompt_ids
from penchant_lab.memories import summary
from penchant_lab.memories.summary import BLOCK
from tests.conversation.dialogues import dialogue_of, dialogues, instruction, resources

SHORT = 10
"""Tokens of a summary here: writing takes its time."""


@pytest.fixture(autouse=True, scope="module")
def short_summaries() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary, "LIMIT", SHORT)
        yield


MADE = {name: make_memory(name, resources()) for name in MEMORIES}
PAIRS = [
    ("Be brief.", "Yes."),
    ("I am allergic to peanuts.", "Good to know. Nuts are hard. The sea is blue."),
    ("What should I read?", "Something short. Not too sad. A letter."),
    ("And then?", "Walk. Sleep. Eat the report."),
    ("Tuesday?", "At ten. Bring it. The film is long."),
]
LONG = [PAIRS[0], *((user, f"{answer} " * 5) for user, answer in PAIRS[1:3]), *PAIRS[3:]]
"""Answers over the cap of a compressed one."""
QUESTION = "What am I allergic to?"


def shape(context: Context) -> list[tuple[str, str]]:
    return [(kept.how, kept.why) for kept in context.inclusions]


def text_of(context: Context) -> str:
    return "\n".join(message["content"] for message in context.messages)


@pytest.mark.parametrize("name", MEMORIES)
@settings(max_examples=6)
@given(dialogue=dialogues(), budget=st.integers(20, 600))
def test_no_memory_exceeds_the_budget(name: str, dialogue: Dialogue, budget: int) -> None:
    try:
        context = MADE[name].context(dialogue, "What about the sea?", budget)
    except InputError:
        return
    loaded = resources().loaded
    assert context.tokens == len(prompt_ids(loaded, render_chat(loaded, list(context.messages)))) <= budget
    assert [kept.exchange for kept in context.inclusions] == list(range(len(dialogue.past)))


@pytest.mark.parametrize("name", MEMORIES)
def test_no_past_and_a_past_that_grows(name: str) -> None:
    memory, fresh = make_memory(name, resources()), make_memory(name, resources())
    assert memory.context(Dialogue(key="c"), QUESTION, 400).messages[-1] == {"role": "user", "content": QUESTION}
    whole = dialogue_of(PAIRS * 2)
    for end in (1, 3, len(whole.past)):
        grown = memory.context(Dialogue(whole.past[:end], key="c"), QUESTION, 400)
        anew = fresh.context(Dialogue(whole.past[:end]), QUESTION, 400)
        assert grown.messages == anew.messages and shape(grown) == shape(anew)
    memory.forget("c")
    assert memory.context(replace(whole, key="c"), QUESTION, 400).messages == grown.messages


@pytest.mark.parametrize("name", ["full", "recent-5", "user-only", "bm25-5"])
def test_ten_thousand_turns_are_no_more_in_the_prompt_than_ten(name: str) -> None:
    long = dialogue_of([(f"Is it {number}?", f"It is {number}.") for number in range(5_000)])
    context = MADE[name].context(long, "Is it 4321?", 400)
    assert context.tokens <= 400 and len(context.inclusions) == 5_000
    assert {kept.how for kept in context.inclusions} <= {"raw", "user-only", "dropped"}
    assert (context.inclusions[4321].how == "raw") == (name == "bm25-5")


def test_unknown_names_and_options() -> None:
    with pytest.raises(InputError, match="no memory 'rea': expected one of penchant, rhea"):
        make_memory("rea", resources())
    with pytest.raises(InputError, match="compress 'both'"):
        penchant(resources(), compress="both")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="memory 'penchant' has no option 'recents': its options are instructions, "):
        make_memory("penchant", resources(), {"recents": 4})
    with pytest.raises(InputError, match="memory 'rhea' has no option 'count': it takes no options"):
        make_memory("rhea", resources(), {"count": 4})
    with pytest.raises(InputError, match="memory 'bm25-5': the option count can't be 'many'"):
        make_memory("bm25-5", resources(), {"count": "many"})
    with pytest.raises(InputError, match="count 0: expected at least 1"):
        make_memory("recent-5", resources(), {"count": 0})
    with pytest.raises(InputError, match="detector 'patterns' has no option 'model'"):
        make_detector("patterns", resources(), {"model": "big"})


@pytest.mark.parametrize("name", ["recent-5", "bm25-5"])
def test_an_option_reaches_the_memory(name: str) -> None:
    said = dialogue_of([(f"Boat {number}?", f"The boat has number {number}.") for number in range(8)])
    for count in (1, 3):
        context = make_memory(name, resources(), {"count": count}).context(said, "Which boat?", 2_000)
        assert sum(kept.how != "dropped" for kept in context.inclusions) == count


def test_baselines_keep_what_they_say() -> None:
    dialogue = dialogue_of([*PAIRS, *PAIRS[1:]])
    recent = MADE["recent-5"].context(dialogue, QUESTION, 500)
    assert shape(recent) == [("dropped", "method")] * 4 + [("raw", "recent")] * 5
    users = MADE["user-only"].context(dialogue, QUESTION, 500)
    assert shape(users) == [("user-only", "method")] * 9
    assert len(users.messages) == 1 and "Good to know" not in text_of(users)
    found = MADE["bm25-5"].context(dialogue, QUESTION, 500)
    assert [kept.exchange for kept in found.inclusions if kept.how == "raw"] == [1, 5]
    everything = MADE["full"].context(dialogue_of(PAIRS), QUESTION, 500)
    assert shape(everything) == [("raw", "method")] * 5
    part = MADE["full"].context(dialogue, QUESTION, 200)
    hows = [kept.how for kept in part.inclusions]
    assert hows == sorted(hows) and {"raw", "dropped"} == set(hows)


def with_likeness(scaling: PlattScaling, **options: object) -> Memory:
    memory = penchant(resources(), **options)  # type: ignore[arg-type]
    memory.scaling = scaling  # type: ignore[attr-defined]
    return memory


@pytest.mark.parametrize(
    ("similarity", "how", "why"),
    [(0.8, "raw", "retrieved"), (0.6, "compressed", "retrieved"), (0.4, "dropped", "unlike")],
)
def test_thresholds_as_published(similarity: float, how: str, why: str) -> None:
    alike = PlattScaling(0.0, float(np.log(similarity / (1 - similarity))))
    context = with_likeness(alike, rule="thresholds").context(dialogue_of(LONG), QUESTION, 500)
    assert shape(context) == [("raw", "first"), (how, why), (how, why), ("raw", "recent"), ("raw", "recent")]
    for exchange, kept in zip(dialogue_of(LONG).past, context.inclusions, strict=True):
        assert kept.similarity == pytest.approx(similarity, abs=1e-4)
        assert exchange.assistant is not None
        whole = kept.assistant == ((0, len(exchange.assistant.text)),)
        assert whole == (kept.how == "raw")


def test_room_goes_to_what_is_most_alike() -> None:
    """Exchanges of one length, so that none gets in because it is short."""
    pairs = [(f"The sea {number} blue.", "Like peanuts.") for number in range(10, 30)]
    memory = penchant(resources(), rule="filled")
    for budget in range(200, 420, 50):
        context = memory.context(dialogue_of(pairs), "Is the sea 17 blue?", budget)
        middle = [
            (kept.similarity, kept.how, kept.why) for kept in context.inclusions[1:-2] if kept.similarity is not None
        ]
        kept = [similarity for similarity, how, _ in middle if how != "dropped"]
        left = [similarity for similarity, _, why in middle if why == "budget"]
        assert kept and left and min(kept) >= max(left) - 1e-6
    assert context.inclusions[0].why == "first" and [one.why for one in context.inclusions[-2:]] == ["recent"] * 2


def test_ablations() -> None:
    dialogue = dialogue_of(PAIRS, instructions=(instruction("Be brief.", 0),))
    alike = PlattScaling(0.0, 0.4)  # everything between the thresholds
    usual = with_likeness(alike).context(dialogue, QUESTION, 500)
    assert [one.id for one in usual.instructions] == ["i0"] and usual.messages[0]["role"] == "system"
    without = with_likeness(alike, instructions=False).context(dialogue, QUESTION, 500)
    assert without.instructions == without.left_out == () and without.messages[0]["role"] == "user"
    assert [kept.how for kept in without.inclusions] == [kept.how for kept in usual.inclusions]
    bare = with_likeness(alike, episodes=False).context(dialogue, QUESTION, 500)
    assert shape(bare)[1:3] == [("dropped", "method")] * 2 and len(bare.instructions) == 1
    other = with_likeness(alike, compress="user").context(dialogue, QUESTION, 500)
    for exchange, kept, mine in zip(dialogue.past[1:3], other.inclusions[1:3], usual.inclusions[1:3], strict=True):
        assert exchange.assistant is not None and kept.how == mine.how == "compressed"
        assert kept.assistant == ((0, len(exchange.assistant.text)),) and mine.user == ((0, len(exchange.user.text)),)


def test_compressed_answers_keep_their_edges_from_the_newest_instruction_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, bool] = {}
    best = module.best_spans

    def watched(counter: TokenCounter, segments: Sequence[Segment], *scores: Any, edges: bool = False) -> Spans:
        asked[segments[0].text] = edges
        return best(counter, segments, *scores, edges=edges)

    monkeypatch.setattr(module, "best_spans", watched)
    memory = with_likeness(PlattScaling(0.0, 0.4))  # everything between the thresholds
    pairs = [("Say no.", "Yes."), *((f"Is it {at}?", f"Hm {at}. It is.") for at in range(4)), *PAIRS[3:]]

    def edges(*given: Instruction) -> list[bool]:
        asked.clear()
        memory.context(dialogue_of(pairs, instructions=given), "What of the sea?", 500)
        return [asked[f"Hm {at}."] for at in range(4)]

    assert edges() == [True] * 4
    older = Instruction("b", "Say no.", turn=0)
    assert edges(older) == [True] * 4
    assert edges(Instruction("a", "Is it 2?", turn=6), older) == [False, False, True, True]
    elsewhere = Instruction("c", "Said elsewhere.", turn=6)
    assert edges(elsewhere) == [True] * 4
    assert edges(Instruction("a", "Is it 2?", turn=6), elsewhere) == [False, False, True, True]


def test_a_question_reads_only_what_is_new() -> None:
    memory = penchant(resources())
    dialogue = dialogue_of(PAIRS * 3, key="new")
    first = memory.context(Dialogue(dialogue.past[:-1], key="new"), QUESTION, 300).tokens_fed
    second = memory.context(dialogue, QUESTION, 300).tokens_fed
    again = memory.context(dialogue, QUESTION, 300).tokens_fed
    assert first > second > again
    memory.forget("new")
    assert memory.context(dialogue, QUESTION, 300).tokens_fed > second


def test_a_long_question_is_asked_whole_and_marked_with_its_ends() -> None:
    question = "What am I allergic to? " + "And more of the sea. " * 30
    context = MADE["penchant"].context(dialogue_of(PAIRS), question, 505)
    assert context.messages[-1]["content"] == question


def test_memory_vectors() -> None:
    states = States(resources().loaded)
    vectors, fed = states.vectors("I am allergic to peanuts and I like long walks by the sea.")
    assert vectors.shape == (VECTORS, 64) and fed > VECTORS
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert states.vectors("I am allergic to peanuts and I like long walks by the sea.")[1] == 0
    assert states.vectors("a")[0].shape[0] <= 1
    same = MADE["rhea"].context(dialogue_of([*PAIRS, (QUESTION, "x")]), QUESTION, 500)
    assert (
        same.inclusions[0].why == "first"
        and same.inclusions[-1].similarity is not None
        and same.inclusions[-1].similarity > 0.7
    )


def test_summary_stands_for_what_is_old_and_is_written_once() -> None:
    memory = make_memory("summary", resources())
    dialogue = dialogue_of(PAIRS + PAIRS[1:], key="s")
    first = memory.context(dialogue, QUESTION, 500)
    assert "Summary of the conversation so far:\n" in first.messages[0]["content"]
    assert [kept.how for kept in first.inclusions] == ["dropped"] * BLOCK + ["raw"] * 5
    assert first.tokens_fed > 0 and memory.context(dialogue, QUESTION, 500).tokens_fed == 0
    text = first.messages[0]["content"].partition(":\n")[2]
    assert 0 < TokenCounter(resources().loaded).text(text) <= SHORT
