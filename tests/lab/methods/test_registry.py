"""Methods by name; sums of markers; the context that they share."""

import time
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pytest

from penchant.compression.extractive import extractive
from penchant.errors import InputError
from penchant.history.records import History, Record, Request, Segment
from penchant.history.segmentation import segment
from penchant.marking.marks import Marks
from penchant.marking.registry import make_marker
from penchant_lab.bench.items import Item
from penchant_lab.methods.defaults import DEFAULTS
from penchant_lab.methods.marked import marked, parse_marker
from penchant_lab.methods.method import Method, Notes
from penchant_lab.methods.registry import METHODS, check_names, make_method
from tests.lab.cases import context, items


def ask(method: Method, item: Item, budget: int = 40, seed: int = 0) -> Notes:
    with method.open(item.history, segment(item.history, "record"), seed) as session:
        return session.notes(item, budget)


@pytest.mark.parametrize(
    "name", ["recency", "random", "bm25", "attention", "surprisal", "attn-gs", "bm25*2+recency~0.1"]
)
def test_a_marker_becomes_a_profile_within_the_budget(name: str) -> None:
    made = context()
    for budget in (25, 60):
        notes = ask(make_method(name, made), items()[0], budget)
        assert notes.text
        assert notes.tokens == len(made.loaded.tokenizer(notes.text)["input_ids"]) <= budget
        assert notes.scores is not None
        assert len(notes.scores) == 4
        assert notes.segments


def test_only_what_is_random_depends_on_the_seed() -> None:
    for name in ("random", "bm25", "attention"):
        method = make_method(name, context())
        scores = [ask(method, items()[0], seed=seed).scores for seed in (0, 1, 0)]
        assert method.seeded == (name == "random")
        assert np.array_equal(scores[0], scores[2])
        assert np.array_equal(scores[0], scores[1]) == (not method.seeded)


def test_every_history_is_cold_once_and_marks_are_made_once_for_all_budgets() -> None:
    method = make_method("attention", context())
    first, second, other, _ = items()
    with method.open(first.history, segment(first.history, "record"), 0) as session:
        cold, again, warm = session.notes(first, 40), session.notes(first, 20), session.notes(second, 40)
        stored = session.stored_bytes()
    assert cold.tokens_fed == again.tokens_fed > warm.tokens_fed > 0
    assert stored > 0
    reopened = ask(method, first)
    assert reopened.tokens_fed == cold.tokens_fed  # nothing was kept of the history
    assert ask(method, other).tokens_fed > warm.tokens_fed


def test_what_the_marks_took_counts_for_every_budget() -> None:
    made, asked = context(), list[str]()

    def slow(history: History, request: Request, segments: Sequence[Segment]) -> Marks:
        asked.append(request.query)
        time.sleep(0.05)
        return Marks(tuple(segments), np.arange(len(segments), dtype=np.float32), "slow", tokens_fed=7)

    method = marked("slow", lambda seed: slow, made.resources(), extractive(made.loaded.tokenizer), "for tests")
    item = items()[0]
    with method.open(item.history, segment(item.history, "record"), 0) as session:
        notes = [session.notes(item, budget) for budget in (40, 20)]
    assert len(asked) == 1
    assert all(one.seconds >= 0.05 and one.tokens_fed == 7 for one in notes)


def test_rewriting_counts_what_it_feeds_and_says_when_it_falls_back() -> None:
    made = context()
    plain = ask(make_method("fusion", made), items()[0], 60)
    rewritten = ask(METHODS["rewriting"](made), items()[0], 30)
    assert rewritten.fallback  # a random model writes nonsense
    assert rewritten.tokens_fed > plain.tokens_fed + 30
    assert rewritten.tokens <= 30


def test_a_sum_of_markers_is_what_it_says() -> None:
    made = context()
    item = items()[0]
    segments = segment(item.history, "record")
    summed = parse_marker("bm25*2+recency~0.5/0", made.resources())(item.history, item.request, segments).scores

    def standard(values: np.ndarray) -> np.ndarray:
        return (values - values.mean()) / values.std()

    parts = [
        make_marker(name, made.resources())(item.history, item.request, segments).scores for name in ("bm25", "recency")
    ]
    total = 2 * standard(parts[0]) + standard(parts[1])
    total[1:] += 0.5 * total[:-1].copy()
    assert np.allclose(summed, total, atol=1e-4) or np.allclose(standard(summed), standard(total), atol=1e-4)


def test_dates_move_any_marker_as_if_the_history_ended_now() -> None:
    made = context()
    history = History([Record(f"Tea {n}.", id=str(n), when=datetime(2020, 5, n + 1)) for n in range(28)])
    segments = segment(history, "record")
    plain, moved = (
        parse_marker(f"recency{dates}", made.resources())(history, Request("What did I drink last week?"), segments)
        for dates in ("", "@dates")
    )
    assert plain.dates == () and [one.text for one in moved.dates] == ["last week"]
    assert [history[int(at)].id for at in moved.ranked()[:7]] == [str(n) for n in range(23, 16, -1)]  # 18 to 24 May


@pytest.mark.parametrize("name", ["bm26", "bm26@dates", "bm25+nonsense", "", "bm25*x"])
def test_an_unknown_name_is_refused_with_the_names_there_are(name: str) -> None:
    with pytest.raises(InputError, match="expected"):
        make_method(name, context())


def test_defaults_are_known() -> None:
    for bench, names in DEFAULTS.items():
        check_names(names, None, bench == "memory")
