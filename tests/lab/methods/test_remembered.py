"""Memories as methods of the bench: what stands in the prompt, what is scored, what is recalled."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from penchant.conversation.context import Detector, Found
from penchant.errors import InputError
from penchant.history.dialogue import Instruction, Role
from penchant.history.records import Record, Request
from penchant.marking.resources import Resources
from penchant.models.chat import render_chat
from penchant.models.tokenization import continuation_ids, prompt_ids
from penchant_lab.bench.answering import Answerer, Prompt
from penchant_lab.bench.dialogues import history_of, turns_of, whole
from penchant_lab.bench.items import Item
from penchant_lab.bench.journal import Journal, digest_of
from penchant_lab.bench.plan import Plan
from penchant_lab.bench.rows import Row
from penchant_lab.bench.runner import Bench, continuations
from penchant_lab.measures.adherence import Check
from penchant_lab.methods import remembered
from penchant_lab.methods.method import Notes, Reply
from penchant_lab.methods.registry import BenchContext, make_method
from penchant_lab.methods.remembered import REMEMBERING, FoundInstructions, remembered_method
from penchant_lab.tasks.task import Task
from tests.families import tiny
from tests.lab.cases import calibration

RULE = "Always end with OK."
SAID: list[tuple[Role, str]] = [
    ("user", f"{RULE} Is it cold?"),
    ("assistant", "It is cold. OK"),
    ("user", "My dog is Rex. Is it late?"),
    ("assistant", "It is ten. OK"),
    ("user", "Which film?"),
    ("assistant", "See Gravel Road. OK"),
    ("user", "What now?"),
    ("assistant", "Rest a bit. OK"),
]


def items() -> list[Item]:
    history = history_of("ines", SAID, standing=[0])
    return [
        Item("ines/dog", history, Request("Who is my dog?"), " Rex", evidence=("t2",), quotes=("Rex",), given="It is"),
        Item("ines/film", history, Request("Which film was it?"), " Gravel Road", evidence=("t5",), quotes=("Gravel",)),
        Item("ines/rule", history, Request("Is it wet?"), "", evidence=("t0",), check=Check("end", ("OK",))),
    ]


TASK = Task(
    "talks", ("memory",), lambda path, seed: items(), ("adherence",), "for tests", 4, unit="record", dialogues=True
)


def context() -> BenchContext:
    loaded = tiny("llama")
    return BenchContext(loaded, TASK, Path(), TASK.max_new_tokens, calibration(loaded))


def measured(folder: Path, *names: str, budget: str = "100%") -> dict[tuple[str, str], Row]:
    made = context()
    plan = Plan(TASK, {0: items()}, [make_method(name, made) for name in names], [budget])
    journal = Journal(folder, {"task": "talks"})
    bench = Bench(plan, made.loaded, journal, lambda name, count: None)
    bench.check()
    bench.run()
    rows = {(row.method, row.item.removeprefix("ines/")): row for row in journal.rows.values()}
    assert [row.error for row in rows.values() if row.error] == []
    return rows


class Counted:
    """A detector that finds `RULE` and counts what it reads."""

    def __init__(self) -> None:
        self.calls = 0

    def make(self, name: str, resources: Resources) -> Detector:
        return self.detect

    def detect(self, text: str, known: Sequence[Instruction]) -> Found:
        self.calls += 1
        return Found((Instruction("", RULE),) if RULE in text else ())


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted()
    monkeypatch.setattr(remembered, "make_detector", counted.make)
    return counted


def notes(name: str, item: Item, budget: int = 400) -> Notes:
    made = context()
    with make_method(name, made).open(item.history, (), 0) as session:
        return session.notes(item, budget)


def test_every_method_of_the_bench_has_a_memory() -> None:
    resources = context().resources()
    for name in remembered.NAMES:
        assert remembered_method(name, resources, FoundInstructions(resources)).name == name
    with pytest.raises(InputError, match="no method 'bm25' of conversations: expected some of none, full, gold"):
        remembered_method("bm25", resources, FoundInstructions(resources))
    assert [name for name, one in REMEMBERING.items() if one.whole] == ["full"]


def test_a_share_is_of_the_prompt_with_the_whole_conversation(tmp_path: Path) -> None:
    loaded, (dog, _, _) = context().loaded, items()
    rows = measured(tmp_path, "full", "user-only", budget="60%")
    size = len(loaded.tokenizer(render_chat(loaded, whole(dog)), add_special_tokens=False)["input_ids"])
    full, users = rows["full", "dog"], rows["user-only", "dog"]
    assert (full.history_tokens, full.budget, full.kept) == (size, None, 1.0)
    assert full.tokens == full.prompt_tokens
    assert (users.history_tokens, users.budget) == (size, int(0.6 * size))
    assert 0 < users.tokens <= int(0.6 * size)


def test_recall_is_of_the_words_that_hold_the_answer(tmp_path: Path) -> None:
    rows = measured(tmp_path, "none", "gold", "full", "user-only")
    assert {key: row.recall for key, row in rows.items()} == {
        **{("none", item): None for item in ("dog", "film", "rule")},
        **{(name, item): 1.0 for name in ("gold", "full") for item in ("dog", "film", "rule")},
        ("user-only", "dog"): 1.0,
        ("user-only", "film"): 0.0,
        ("user-only", "rule"): 1.0,
    }


def test_the_references(tmp_path: Path) -> None:
    dog, film, _ = items()
    assert notes("none", dog).messages == ({"role": "user", "content": "Who is my dog?"},)
    said = [{"role": role, "content": text} for role, text in SAID]
    question = {"role": "user", "content": "Which film was it?"}
    assert notes("gold", film).messages == (*said[0:2], *said[4:6], question)


def test_the_loss_is_of_what_follows_the_given_part(tmp_path: Path) -> None:
    loaded, (dog, *_) = context().loaded, items()
    rows = measured(tmp_path, "full")
    prompt = prompt_ids(loaded, render_chat(loaded, whole(dog)))
    given = continuation_ids(loaded, dog.given)
    answer = loaded.tokenizer(dog.answer, add_special_tokens=False)["input_ids"]
    assert continuations(loaded, dog) == (len(given), ((*given, *answer),))
    with torch.no_grad():
        logits = loaded.model(input_ids=torch.tensor([[*prompt, *given, *answer]])).logits[0].float()
    picked = logits[len(prompt) + len(given) - 1 : -1].log_softmax(-1).gather(1, torch.tensor(answer)[:, None])
    assert rows["full", "dog"].loss == pytest.approx(-float(picked.mean()), abs=1e-3)


@pytest.mark.parametrize("skipped", [0, 1, 2, 4])
def test_skipped_tokens_dont_count_in_a_batch(skipped: int) -> None:
    loaded = tiny("llama")
    one, two, three = (9, 8, 7, 30, 31), (40, 41, 42, 43, 44, 45), (50, 51, 52)
    found = Answerer(loaded).read([Prompt(one, (two,), given=skipped), Prompt(three, (one,))])
    with torch.no_grad():
        logits = loaded.model(input_ids=torch.tensor([[*one, *two]])).logits[0, len(one) - 1 : -1].float()
    each = -logits.log_softmax(-1).gather(1, torch.tensor(two)[:, None])[:, 0]
    assert found[0].nlls[0] == pytest.approx(float(each[skipped:].sum()), abs=2e-3)
    assert [reply.lengths for reply in found] == [(6 - skipped,), (5,)]


def test_a_check_alone_has_no_loss_and_only_checked_items_are_generated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Prompt] = []

    def read(self: Answerer, prompts: Sequence[Prompt]) -> list[Reply]:
        asked.extend(prompts)
        return [Reply((1.0,) * len(one.continuations), (2,) * len(one.continuations), "Dry. OK") for one in prompts]

    monkeypatch.setattr(Answerer, "read", read)
    rows = measured(tmp_path, "none")
    assert [(len(one.continuations), one.max_new_tokens) for one in asked] == [(1, 0), (1, 0), (0, 4)]
    rule, dog = rows["none", "rule"], rows["none", "dog"]
    assert (rule.loss, dict(rule.metrics)) == (None, {"adherence": 1.0})
    assert (dog.loss, dict(dog.metrics)) == (0.5, {})


def test_instructions_are_detected_once_for_all_methods(tmp_path: Path, detector: Counted) -> None:
    rows = measured(tmp_path, "penchant-no-episodes", "penchant-compress-user", "recent-5")
    assert detector.calls == 5  # four user turns, and the one of the warm-up; a baseline asks for none
    assert rows["penchant-no-episodes", "rule"].recall == 1.0
    (*_, rule) = items()
    made = notes("penchant-no-episodes", rule)
    assert made.messages is not None
    assert RULE in made.messages[0]["content"]
    assert made.messages[0]["role"] == "system"
    bare = notes("penchant-no-instructions", rule).messages or ()
    assert not any(message["role"] == "system" for message in bare)


def test_the_first_question_pays_for_finding_instructions(detector: Counted) -> None:
    made = context()
    dog, film, _ = items()
    known = made.found_instructions.known("penchant", dog.history, 0)
    assert [(one.text, one.turn) for one in known.instructions] == [(RULE, 0)]
    made.found_instructions._found["penchant", "ines", 0] = remembered.Known(known.instructions, 1000, 50.0)
    with make_method("penchant-no-episodes", made).open(dog.history, (), 0) as session:
        first, second = session.notes(dog, 400), session.notes(film, 400)
    assert first.tokens_fed >= 1000 > second.tokens_fed
    assert first.seconds >= 50.0 > second.seconds


def test_priority_is_read_by_the_model(tmp_path: Path, detector: Counted) -> None:
    loaded, (*_, rule) = context().loaded, items()
    plain, more = notes("penchant", rule), notes("penchant+priority", rule)
    assert plain.messages == more.messages is not None
    assert plain.emphasis is None
    assert more.emphasis is not None
    ids = prompt_ids(loaded, render_chat(loaded, more.messages))
    spans = [loaded.tokenizer.decode(ids[start:end]) for start, end in more.emphasis.spans]
    assert len(spans) == 1
    assert RULE in spans[0]
    answer = continuation_ids(loaded, "It is. OK")
    same, other = (
        Answerer(loaded).read([Prompt(tuple(ids), (answer,), emphasis=one.emphasis, heads=one.heads)])[0].nlls[0]
        for one in (plain, more)
    )
    assert same != pytest.approx(other, abs=1e-6)
    rows = measured(tmp_path, "penchant", "penchant+priority")
    assert rows["penchant", "dog"].loss != rows["penchant+priority", "dog"].loss


def test_items_that_cant_be_asked() -> None:
    history = history_of("ines", SAID)
    with pytest.raises(InputError, match="the answer is empty"):
        Item("a", history, Request("Why?"), " ")
    with pytest.raises(InputError, match="2 quotes for 1 evidence records"):
        Item("a", history, Request("Why?"), "x", evidence=("t0",), quotes=("a", "b"))
    with pytest.raises(InputError, match="record r is of kind None: expected turns"):
        turns_of(type(history)([Record("Hello.", "r")]))


def test_what_is_given_and_checked_is_part_of_the_digest() -> None:
    dog, _, rule = items()
    history = dog.history
    bare = Item(dog.id, history, dog.request, dog.answer, evidence=dog.evidence)
    other = Item(rule.id, history, rule.request, "", evidence=rule.evidence, check=Check("start", ("OK",)))
    assert digest_of([dog]) != digest_of([bare])
    assert digest_of([rule]) != digest_of([other])
