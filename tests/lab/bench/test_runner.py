"""Plans are carried out row by row; what fails is recorded; what is there isn't measured again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from penchant.compression.prompt import answer_messages
from penchant.errors import InputError, ModelError
from penchant.history.records import History, Segment
from penchant.models.chat import render_chat
from penchant.models.tokenization import continuation_ids, prompt_ids
from penchant_lab.bench.answering import Answerer, Prompt
from penchant_lab.bench.items import Item
from penchant_lab.bench.journal import Journal
from penchant_lab.bench.plan import Plan
from penchant_lab.bench.rows import Row
from penchant_lab.bench.runner import Bench
from penchant_lab.methods.method import Method, Notes, Reply, Session
from penchant_lab.methods.registry import make_method
from tests.lab.cases import TASK, context, items


def run(plan: Plan, folder: Path, *, fresh: bool = False) -> tuple[Journal, list[tuple[str, int]]]:
    journal, told = Journal(folder, {"task": "small"}, fresh=fresh), list[tuple[str, int]]()
    bench = Bench(plan, context().loaded, journal, lambda name, count: told.append((name, count)))
    bench.check()
    bench.run()
    return journal, told


def plan(*names: str, **changes: object) -> Plan:
    made = Plan(TASK, {0: items()}, [make_method(name, context()) for name in names], ["30%"])
    return replace(made, **changes)  # type: ignore[arg-type]


class Fixed:
    """A method whose notes are given; it counts how often it is asked."""

    def __init__(self, notes: Notes | Exception, **about: bool) -> None:
        self.given, self.calls, self.opened = notes, 0, 0
        self.method = Method("fixed", self.open, "for tests", **about)

    @contextmanager
    def open(self, history: History, segments: Sequence[Segment], seed: int) -> Iterator[Session]:
        self.opened += history.user != "warm-up"
        yield self

    def notes(self, item: Item, budget: int) -> Notes:
        if item.id != "warm-up":
            self.calls += 1
            if isinstance(self.given, Exception) and item.id == "ines/1":
                raise self.given
        return Notes("x") if isinstance(self.given, Exception) else self.given

    def stored_bytes(self) -> int:
        return 7


def test_every_method_gives_a_row_for_every_item_budget_and_seed(tmp_path: Path) -> None:
    both = {0: items(), 1: items()}
    made = plan("none", "full", "gold", "random", "bm25", "attention", items=both, budgets=["30%", "40"])
    journal, told = run(made, tmp_path)
    counts = {name: sum(row.method == name for row in journal.rows.values()) for name in journal.infos}
    # Only what draws at random has another seed; only what keeps to a budget has another budget.
    assert counts == {"none": 4, "full": 4, "gold": 4, "random": 16, "bm25": 8, "attention": 8}
    assert sum(count for _, count in told) == 44
    assert all(row.error is None for row in journal.rows.values())
    of = {row.key: row for row in journal.rows.values()}
    best = of["gold", "ines/0", "", 0]
    assert (best.recall, best.precision) == (1.0, 1.0)
    everything = of["full", "ines/0", "", 0]
    assert (everything.recall, everything.precision, everything.kept) == (1.0, 0.25, 1.0)
    nothing = of["none", "ines/0", "", 0]
    assert (nothing.tokens, nothing.recall, nothing.budget) == (0, None, None)
    words = of["bm25", "ines/0", "30%", 0]
    assert words.recall == 1.0
    assert words.budget is not None
    assert 0 < words.tokens <= words.budget
    assert of["bm25", "ines/0", "40", 0].budget == 40
    assert [of["attention", f"ines/{n}", "30%", 0].cold for n in (0, 1)] == [True, False]
    assert of["attention", "ines/0", "30%", 0].tokens_fed > of["attention", "ines/1", "30%", 0].tokens_fed > 0
    assert journal.infos["attention"]["stored_bytes"] > 0 == journal.infos["bm25"]["stored_bytes"]


def test_the_loss_is_that_of_the_true_answer_behind_the_notes(tmp_path: Path) -> None:
    loaded = context().loaded
    journal, _ = run(plan("gold"), tmp_path)
    item = items()[1]
    prompt = prompt_ids(loaded, render_chat(loaded, answer_messages(item.history[3].text, item.request)))
    answer = continuation_ids(loaded, item.answer)
    with torch.no_grad():
        logits = loaded.model(input_ids=torch.tensor([[*prompt, *answer]])).logits[0].float()
    rows = logits[len(prompt) - 1 : -1].log_softmax(-1)
    row = journal.rows["gold", "ines/1", "", 0]
    assert row.loss == pytest.approx(-float(rows.gather(1, torch.tensor(answer)[:, None]).mean()), abs=1e-3)
    assert row.prompt_tokens == len(prompt)


def test_texts_are_generated_and_choices_only_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Prompt] = []
    read = Answerer.read
    monkeypatch.setattr(Answerer, "read", lambda self, prompts: asked.extend(prompts) or read(self, prompts))
    run(plan("none", items={0: items()[:1]}), tmp_path / "text")
    one = items()[0]
    picked = Item("a/0", one.history, one.request, "yes", ("yes", "no", "maybe"))
    run(plan("none", items={0: [picked]}), tmp_path / "choice")
    assert [(prompt.max_new_tokens, len(prompt.continuations)) for prompt in asked] == [(4, 1), (0, 3)]


def test_choices_are_scored_and_values_expected(tmp_path: Path) -> None:
    item = items()[0]
    rated = Item("a/0", item.history, item.request, "4", ("1", "4", "5"), (1.0, 4.0, 5.0), 3.5)
    task = replace(TASK, metrics=("accuracy", "mae"), max_new_tokens=0)
    journal, _ = run(plan("none", task=task, items={0: [rated]}), tmp_path)
    (row,) = journal.rows.values()
    assert row.true == 3.5
    assert row.predicted is not None
    assert 1.0 < row.predicted < 5.0
    assert row.metrics.keys() == {"accuracy"}
    assert row.loss is not None
    assert row.loss > 0


def test_a_second_run_measures_only_what_is_missing(tmp_path: Path) -> None:
    one = Fixed(Notes("Walks by the sea.", 5))
    limited = plan(methods=[one.method], items={0: items()[:2]})
    run(limited, tmp_path)
    assert (one.calls, one.opened) == (2, 1)
    journal, told = run(replace(limited, items={0: items()}), tmp_path)
    assert (one.calls, told, len(journal.rows)) == (4, [("fixed", 2)], 4)
    run(replace(limited, items={0: items()}), tmp_path)
    assert one.calls == 4


def test_what_a_slow_method_made_is_written_before_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penchant_lab.bench.runner.PATIENCE", 0.0)
    made = plan(methods=[Fixed(Notes("x")).method], items={0: items(("a", "b", "c"))[::2]})  # one item a history
    _, told = run(made, tmp_path)
    assert told == [("fixed", 1)] * 3


def test_a_failing_item_is_recorded_and_tried_again(tmp_path: Path) -> None:
    broken = Fixed(RuntimeError("out of luck"))
    journal, _ = run(plan(methods=[broken.method]), tmp_path)
    failed = [row for row in journal.rows.values() if row.error]
    assert [(row.item, row.error) for row in failed] == [("ines/1", "RuntimeError: out of luck")]
    assert len(journal.rows) == 4
    mended = Fixed(Notes("x"))
    journal, _ = run(plan(methods=[mended.method]), tmp_path)
    assert mended.calls == 1
    assert not any(row.error for row in journal.rows.values())


def test_a_method_that_cannot_be_opened_fails_on_each_item(tmp_path: Path) -> None:
    @contextmanager
    def closed(history: History, segments: Sequence[Segment], seed: int) -> Iterator[Session]:
        raise ModelError("not installed")
        yield

    journal, _ = run(plan(methods=[Method("closed", closed, "for tests")]), tmp_path)
    assert [row.error for row in journal.rows.values()] == ["not installed"] * 4


def test_a_prompt_that_does_not_fit_fails_alone(tmp_path: Path) -> None:
    class Long(Fixed):
        def notes(self, item: Item, budget: int) -> Notes:
            return Notes("word " * 600 if item.id == "tomas/0" else "x")

    journal, _ = run(plan(methods=[Long(Notes("x")).method]), tmp_path)
    failed = {row.item: row.error for row in journal.rows.values() if row.error}
    assert failed.keys() == {"tomas/0"}
    assert "window" in str(failed["tomas/0"])


def test_a_reply_that_a_method_brings_is_taken(tmp_path: Path) -> None:
    brought = Fixed(Notes(None, 9, reply=Reply((6.0,), (3,), "by the sea")))
    journal, _ = run(plan(methods=[brought.method]), tmp_path)
    row = journal.rows["fixed", "ines/0", "30%", 0]
    assert (row.loss, row.metrics["f1"], row.tokens) == (2.0, 1.0, 9)


def test_without_answers_only_evidence_is_measured(tmp_path: Path) -> None:
    journal, _ = run(plan("bm25", answers=False), tmp_path)
    row = journal.rows["bm25", "ines/0", "30%", 0]
    assert (row.loss, row.prompt_tokens, row.metrics) == (None, 0, {})
    assert (row.auc, row.recall_at_10, row.recall) == (1.0, 1.0, 1.0)


def test_a_cap_takes_evenly_spread_items_and_gold_only_labelled_ones(tmp_path: Path) -> None:
    some = [*items(), replace(items()[0], id="unlabelled", evidence=())]
    journal, _ = run(plan("none", "gold", items={0: some}, caps={"none": 2}), tmp_path)
    assert [key[1] for key in journal.rows if key[0] == "none"] == ["ines/0", "unlabelled"]
    assert "unlabelled" not in [key[1] for key in journal.rows if key[0] == "gold"]


def test_a_budget_beyond_the_window_is_refused_before_any_work(tmp_path: Path) -> None:
    one = Fixed(Notes("x"))
    with pytest.raises(InputError, match="don't fit the window"):
        run(plan(methods=[one.method], budgets=["500"]), tmp_path)
    assert one.opened == 0


def test_rows_survive_json(tmp_path: Path) -> None:
    journal, _ = run(plan("bm25", "none"), tmp_path)
    assert {key: Row.from_json(row.to_json()) for key, row in journal.rows.items()} == journal.rows
    assert Journal(tmp_path, {"task": "small"}).rows == journal.rows
