import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from penchant.compression.budget import count_tokens
from penchant.history.records import History, Record, Request
from penchant.inference.generation import generate_stream
from penchant.marking.marks import FloatArray
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import prompt_ids
from penchant.text.unicode import sanitize
from penchant_lab.bench.items import Item
from penchant_lab.methods import facts as module
from penchant_lab.methods.facts import (
    EXAMPLE_FACTS,
    chunked,
    extraction_prompt,
    facts_of,
    generate_batch,
    mem0,
    newest,
)
from penchant_lab.methods.method import Method, Notes, Session
from tests.families import FAMILIES, tiny, tiny_tokenizer

pytestmark = pytest.mark.slow

START = datetime(2023, 1, 5, 9, 30, tzinfo=UTC)
SLOW = 0.05
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def item_of(history: History, query: str) -> Item:
    return Item("u/0", history, Request(query), "a")


def letters(texts: Sequence[str]) -> tuple[FloatArray, int]:
    """An embedding that is easy to foresee: how often each letter comes."""
    counts = np.array([[1e-3 + text.lower().count(letter) for letter in LETTERS] for text in texts], dtype=np.float32)
    return counts.reshape(-1, 26) / np.linalg.norm(counts.reshape(-1, 26), axis=1, keepdims=True), len(texts)


@pytest.fixture
def letters_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "embedder", lambda path: letters)


def roomy() -> LoadedModel:
    """A tiny model whose window takes the example in the prompt."""
    loaded = tiny("llama")
    loaded.model.config.max_position_embeddings = 8192
    return loaded


def says(monkeypatch: pytest.MonkeyPatch, answers: dict[str, str]) -> list[str]:
    """Let the model answer a chunk that contains a key with its text; gives the prompts that it was asked."""
    asked: list[str] = []

    def answer(loaded: LoadedModel, prompts: Sequence[str], max_new_tokens: int) -> list[str]:
        asked.extend(prompts)
        time.sleep(SLOW)
        chunks = [prompt.rpartition(EXAMPLE_FACTS)[2] for prompt in prompts]
        return ["\n".join(text for key, text in answers.items() if key in chunk) for chunk in chunks]

    monkeypatch.setattr(module, "generate_batch", answer)
    return asked


def all_notes(method: Method, history: History, queries: Sequence[str], budget: int) -> tuple[list[Notes], Session]:
    with method.open(history, (), 0) as session:
        assert session.stored_bytes() == 0
        return [session.notes(item_of(history, query), budget) for query in queries], session


HISTORY = History(
    [
        Record("Ann: I bought a zebra.", id="a", when=day(0)),
        Record("Ann: My mum is ill.", id="b", when=day(1)),
        Record("Ann: I like quince jam.", id="c", when=day(2)),
    ],
    "ann",
)
SAID = {
    "zebra": "- Ann bought a zebra.",
    "mum": "1. Ann's mum is ill.\n2. Ann is sad.",
    "quince": "Ann likes quince jam.",
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("chat", [True, False])
def test_answers_in_batches_are_those_of_each_prompt_alone(family: str, chat: bool) -> None:
    loaded = tiny(family, chat=chat)
    texts = ["peanuts", "I like long walks by the sea. " * 6, "What?", "She wrote three letters about the film."] * 5
    prompts = [render_chat(loaded, [{"role": "user", "content": f"{text} {i}"}]) for i, text in enumerate(texts)]
    alone = ["".join(generate_stream(loaded, prompt, max_new_tokens=12)).strip() for prompt in prompts]
    assert generate_batch(loaded, prompts, 12) == alone
    assert len(set(alone)) > 3
    assert generate_batch(loaded, [], 12) == []


def test_chunks_hold_neighbours_of_one_day_up_to_a_size() -> None:
    tokenizer = tiny_tokenizer()
    records = [Record(f"turn {i} about the sea", when=day(i // 5), label="good" if i == 7 else None) for i in range(12)]
    records += [Record("A long sentence with many words. " * 60, when=day(9)), Record("the end 🎉 \ud83d", when=day(9))]
    history = History(records)
    chunks = list(chunked(tokenizer, history, 60))
    held = "\n".join(chunk.text for chunk in chunks)
    position = -1
    for record in history:
        for word in record.text.split():
            position = held.index(word, position + 1)
    assert "(good) turn 7" in held
    assert held.count("(good)") == 1
    sizes = [count_tokens(tokenizer, chunk.text.encode("utf-8", "replace").decode()) for chunk in chunks]
    assert max(sizes) <= 60 + 10  # joining lines adds a few
    assert len(chunks) > 12
    days = [chunk.when.date() for chunk in chunks if chunk.when]
    assert days == sorted(days)
    for chunk in [chunk for chunk in chunks if "turn" in chunk.text]:
        places = [int(number) for number in re.findall(r"turn (\d+)", chunk.text)]
        assert len(places) > 1 or len(chunk.text) < 40
        assert {day(place // 5).date() for place in places} == {chunk.when.date() if chunk.when else None}
    assert [chunk.when for chunk in chunked(tokenizer, History([Record("a"), Record("b")]), 60)] == [None]
    assert list(chunked(tokenizer, History([]), 60)) == []


def test_the_prompt_tells_the_day_and_ends_with_the_models_turn() -> None:
    for loaded in (tiny("llama"), tiny("llama", chat=False)):
        dated, undated = (
            next(chunked(loaded.tokenizer, History([Record("So <|end|>", when=w)]), 9)) for w in (day(0), None)
        )
        assert "5 January 2023\nSo < |end|>" in extraction_prompt(loaded, dated)
        assert "January" not in extraction_prompt(loaded, undated)
    assert extraction_prompt(loaded, dated).endswith("\nAssistant:")
    assert extraction_prompt(loaded, dated).startswith("System: ")


def test_facts_are_the_lines_of_an_answer() -> None:
    source = "Ann: I am here. Tomas: Me too."
    assert facts_of("- Ann is here.\n\n2) Tomas is here\n- Ann is here.", source, cut=False) == [
        "Ann is here.",
        "Tomas is here",
    ]
    assert facts_of("Here are the facts:\nAnn is here.\n---\n?", source, cut=False) == ["Ann is here."]
    assert facts_of("Ann is here.\nAnn is a", source, cut=True) == ["Ann is here."]
    assert facts_of("Ann is here.\nAnn is a", source, cut=False) == ["Ann is here.", "Ann is a"]
    assert facts_of("Ann is here.\nAnn is a.", source, cut=True) == ["Ann is here.", "Ann is a."]
    assert facts_of("Ann is a", source, cut=True) == ["Ann is a"]
    assert facts_of("Tom bought a boat.\nAnn's brother Max.\nTomas is here.", source, cut=False) == ["Tomas is here."]
    assert facts_of("Tom bought a boat.", "Tom: A boat!", cut=False) == ["Tom bought a boat."]
    assert facts_of("  \n", source, cut=False) == []


def test_of_facts_that_say_the_same_the_newest_is_kept() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2100, 64)).astype(np.float32)
    vectors[2050] = vectors[3] + 0.02 * vectors[9]
    vectors[700] = vectors[701]
    vectors[1500] = vectors[1023]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert np.flatnonzero(~newest(vectors, 0.95)).tolist() == [3, 700, 1023]
    assert newest(vectors[:0], 0.95).shape == (0,)


@pytest.mark.usefixtures("letters_only")
def test_the_nearest_facts_fill_the_budget_in_time_order(monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, SAID)
    loaded = roomy()
    everything = (
        "5 January 2023:\nAnn bought a zebra.\n6 January 2023:\nAnn's mum is ill.\nAnn is sad.\n"
        "7 January 2023:\nAnn likes quince jam."
    )
    method = mem0(loaded)
    whole = count_tokens(loaded.tokenizer, everything)
    (notes,), _ = all_notes(method, HISTORY, ["zzz"], whole)
    assert (notes.text, notes.tokens, notes.segments, notes.fallback) == (everything, whole, None, False)
    one = "7 January 2023:\nAnn likes quince jam."
    budget = count_tokens(loaded.tokenizer, one)
    (quince, zebra), _ = all_notes(method, HISTORY, ["q q u i n c e", "zebra zebra"], budget)
    assert quince.text == one
    assert zebra.text is not None
    assert "zebra" in zebra.text
    for budget in range(1, whole, 7):
        (notes,), _ = all_notes(method, HISTORY, ["jam"], budget)
        assert notes.tokens <= budget
        assert notes.tokens == count_tokens(loaded.tokenizer, notes.text or "")


@pytest.mark.usefixtures("letters_only")
def test_facts_are_written_down_once_and_paid_for_by_the_first_item(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = says(monkeypatch, SAID)
    loaded = roomy()
    (first, second), session = all_notes(mem0(loaded), HISTORY, ["jam", "zebra"], 100)
    assert len(asked) == 3  # a chunk a day
    written = sum(len(ids) for ids in loaded.tokenizer(list(SAID.values()))["input_ids"])
    assert first.tokens_fed == sum(len(prompt_ids(loaded, prompt)) for prompt in asked) + written + 4 + 1
    assert second.tokens_fed == 1
    assert first.seconds > SLOW
    assert second.seconds > 0
    lines = [line[2:] if line[0] in "-" else line.lstrip("12. ") for text in SAID.values() for line in text.split("\n")]
    assert session.stored_bytes() == sum(map(len, lines)) + 8 * 4 + 26 * 4 * 4


@pytest.mark.usefixtures("letters_only")
def test_a_fact_told_again_stands_at_its_newest_day(monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, {"Ann": "Ann is a nurse."})
    (notes,), _ = all_notes(mem0(roomy()), HISTORY, ["nurse"], 100)
    assert notes.text == "7 January 2023:\nAnn is a nurse."
    says(monkeypatch, {"zebra": "Ann is a nurse.", "mum": "Ann is a nurse.", "quince": SAID["quince"]})
    loaded = roomy()
    (found,), _ = all_notes(mem0(loaded), HISTORY, ["quince jam"], count_tokens(loaded.tokenizer, SAID["quince"]))
    assert found.text == SAID["quince"]  # each fact has kept its own embedding


@pytest.mark.usefixtures("letters_only")
def test_no_facts_are_no_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, {})
    (notes,), session = all_notes(mem0(roomy()), HISTORY, ["nurse"], 100)
    assert (notes.text, notes.tokens) == (None, 0)
    assert notes.tokens_fed > 0
    assert session.stored_bytes() == 0
    (empty,), _ = all_notes(mem0(roomy()), History([]), ["nurse"], 100)
    assert (empty.text, empty.tokens_fed) == (None, 0)


@pytest.mark.usefixtures("letters_only")
def test_a_models_own_answers_become_facts() -> None:
    """Untrained, so it writes nonsense: what is checked is the way through."""
    loaded = roomy()
    prompts = [extraction_prompt(loaded, chunk) for chunk in chunked(loaded.tokenizer, HISTORY, 160)]
    written = "\n".join("".join(generate_stream(loaded, prompt, max_new_tokens=20)) for prompt in prompts)
    written = sanitize(written)
    method = mem0(loaded, max_new_tokens=20, same=2.0)
    assert (method.name, method.budgeted, method.seeded) == ("mem0", True, False)
    (notes,), _ = all_notes(method, HISTORY, ["quince"], 400)
    assert notes.text is not None
    assert notes.text.startswith("5 January 2023:\n")
    for line in notes.text.split("\n"):
        assert line in written or line.endswith("January 2023:")


@pytest.mark.model
@pytest.mark.usefixtures("letters_only")
def test_the_embedded_model_writes_facts_down(smollm2: LoadedModel) -> None:
    history = History(
        [
            Record("Priya: I moved to Lisbon in March and work as a baker now.", when=day(0)),
            Record(
                "Ole: Congratulations! My sister Karin lives there.",
                when=day(0),
            ),
        ]
    )
    (notes,), _ = all_notes(mem0(smollm2), history, ["Where does Priya live?"], 60)
    assert notes.text is not None
    assert "Lisbon" in notes.text
    assert notes.tokens <= 60
