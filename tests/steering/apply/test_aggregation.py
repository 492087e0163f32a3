import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.errors import InputError
from penchant.steering.apply.aggregation import Aggregation, aggregate
from penchant.steering.storage.bank import Bank
from tests.steering.cases import NOW, SITES, WIDTHS, bank_of, places

finite = st.floats(-1e6, 1e6, width=32)
settings_ = st.builds(
    Aggregation,
    top=st.none() | st.integers(1, 8),
    weights=st.sampled_from(["uniform", "softmax"]),
    temperature=st.floats(1e-3, 10),
    half_life=st.none() | st.floats(1e-3, 1e4),
    shrinkage=st.floats(0, 100),
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Bank, torch.Tensor, Aggregation]:
    rows = draw(st.integers(1, 7))
    scores = torch.tensor(draw(st.lists(finite, min_size=rows, max_size=rows)), dtype=torch.float32)
    bank = bank_of(rows=rows, seed=draw(st.integers(0, 3)), timed=draw(st.booleans()))
    return bank, scores, draw(settings_)


def population(rows: int, value: float = 1.5) -> dict:
    return {site: torch.full((rows, width), value) for site, width in WIDTHS.items()}


@given(cases())
@settings(max_examples=60)
def test_weights_sum_to_one_and_nothing_is_nan(case: tuple) -> None:
    bank, scores, setting = case
    found = aggregate([bank], [scores], setting, population=population(1), now=NOW)
    assert sum(term.weight for term in found.terms(0)) == pytest.approx(1)
    assert all(math.isfinite(term.score) and term.weight > 0 for term in found.terms(0))
    assert len(found.terms(0)) <= min(len(bank), setting.top or len(bank))
    assert 1 - 1e-9 <= found.samples[0] <= len(bank) + 1e-9
    for site, width in WIDTHS.items():
        assert found.vectors[site].shape == (1, width)
        assert found.vectors[site].dtype == torch.float32
        assert bool(found.vectors[site].isfinite().all())


@given(cases(), st.randoms())
@settings(max_examples=60)
def test_the_order_of_a_bank_does_not_matter(case: tuple, random: Any) -> None:
    bank, scores, setting = case
    scores = scores.round(decimals=-5)  # ties
    order = random.sample(range(len(bank)), len(bank))
    one = aggregate([bank], [scores], setting, now=NOW)
    other = aggregate([places(bank, order)], [scores[order]], setting, now=NOW)
    assert sorted(term.contrast for term in one.terms(0)) == sorted(term.contrast for term in other.terms(0))
    for site in SITES:
        torch.testing.assert_close(one.vectors[site], other.vectors[site])


@given(cases())
@settings(max_examples=40)
def test_as_many_as_there_are_is_all(case: tuple) -> None:
    bank, scores, setting = case
    for top in (len(bank), len(bank) + 3):
        one = aggregate([bank], [scores], replace(setting, top=top), now=NOW)
        other = aggregate([bank], [scores], replace(setting, top=None), now=NOW)
        assert one.terms(0) == other.terms(0)
        for site in SITES:
            assert torch.equal(one.vectors[site], other.vectors[site])


@given(st.floats(0.1, 1000), st.floats(0, 500), st.floats(0, 500))
@settings(max_examples=40)
def test_older_never_weighs_more(half_life: float, age: float, more: float) -> None:
    bank = bank_of(rows=3)
    whens = [NOW, NOW - timedelta(days=age), NOW - timedelta(days=age + more)]
    bank = replace(bank, rows=tuple(replace(row, when=when) for row, when in zip(bank.rows, whens, strict=True)))
    setting = Aggregation(weights="uniform", half_life=half_life)
    found = {term.record: term.weight for term in aggregate([bank], [torch.zeros(3)], setting, now=NOW).terms(0)}
    weights = [found.get(f"r{row}", 0.0) for row in range(3)]
    assert weights[0] >= weights[1] >= weights[2]


def test_decay_halves_by_half_lives_and_spares_the_timeless_and_the_future() -> None:
    bank = bank_of(rows=4)
    whens = [NOW, NOW - timedelta(days=30), None, NOW + timedelta(days=9)]
    bank = replace(bank, rows=tuple(replace(row, when=when) for row, when in zip(bank.rows, whens, strict=True)))
    setting = Aggregation(weights="uniform", half_life=15)
    for now in (NOW, NOW.replace(tzinfo=None)):
        terms = {term.record: term for term in aggregate([bank], [torch.zeros(4)], setting, now=now).terms(0)}
        found = [terms[f"r{row}"].weight for row in range(4)]
        assert found == pytest.approx([1 / 3.25, 0.25 / 3.25, 1 / 3.25, 1 / 3.25])
        assert [terms[f"r{row}"].days for row in range(4)] == [0, pytest.approx(30), None, pytest.approx(-9)]


def test_rows_that_are_all_ages_old_still_count() -> None:
    found = aggregate([bank_of()], [torch.zeros(4)], Aggregation(half_life=0.01), now=NOW + timedelta(days=100_000))
    assert found.vectors[SITES[0]][0] == pytest.approx(bank_of().vectors[SITES[0]][0], abs=1e-6)


def test_one_contrast_gives_itself() -> None:
    bank = bank_of(rows=1)
    found = aggregate([bank], [torch.tensor([-3.0])], Aggregation(half_life=5), now=NOW)
    for site in SITES:
        assert torch.equal(found.vectors[site], bank.vectors[site])
    assert found.samples == (1.0,)


def test_softmax_weights_of_the_best_by_hand() -> None:
    bank = bank_of(rows=4)
    scores = torch.tensor([0.1, 0.4, 0.3, -0.9])
    found = aggregate([bank], [scores], Aggregation(top=2, temperature=0.2), now=NOW)
    high, low = math.exp(0.4 / 0.2), math.exp(0.3 / 0.2)
    weights = [high / (high + low), low / (high + low)]
    assert [term.record for term in found.terms(0)] == ["r1", "r2"]
    assert [term.weight for term in found.terms(0)] == pytest.approx(weights, abs=1e-6)
    assert [term.score for term in found.terms(0)] == pytest.approx([0.4, 0.3])
    for site in SITES:
        rows = bank.vectors[site]
        torch.testing.assert_close(found.vectors[site][0], weights[0] * rows[1] + weights[1] * rows[2])
    assert found.samples[0] == pytest.approx(1 / (weights[0] ** 2 + weights[1] ** 2))


def test_ties_go_by_contrast_id() -> None:
    bank = bank_of(rows=5)
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 3, 1]):
        found = aggregate([places(bank, order)], [torch.ones(5)], Aggregation(top=2), now=NOW)
        assert sorted(term.record for term in found.terms(0)) == ["r0", "r1"]


def test_shrinkage_by_hand() -> None:
    bank, base = bank_of(rows=4), population(1)
    found = aggregate([bank], [torch.zeros(4)], Aggregation(top=None, shrinkage=6), population=base, now=NOW)
    for site in SITES:
        torch.testing.assert_close(found.vectors[site][0], (4 * bank.vectors[site].mean(0) + 6 * base[site][0]) / 10)
    alone = aggregate([bank], [torch.zeros(4)], Aggregation(top=None, shrinkage=6), now=NOW)
    torch.testing.assert_close(alone.vectors[SITES[0]][0], 0.4 * bank.vectors[SITES[0]].mean(0))


def test_the_personal_part_and_the_general_form() -> None:
    bank, base = bank_of(rows=4), population(1)
    mean = bank.vectors[SITES[0]].mean(0)
    for shares in ((0.0, 1.0), (0.5, 2.0), (1.0, 0.0)):
        setting = Aggregation(top=None, weights="uniform", pop_share=shares[0], own_share=shares[1])
        found = aggregate([bank], [torch.zeros(4)], setting, population=base, now=NOW).vectors[SITES[0]][0]
        torch.testing.assert_close(found, shares[0] * base[SITES[0]][0] + shares[1] * (mean - base[SITES[0]][0]))


def test_a_user_without_samples_gets_exactly_the_populations() -> None:
    none = places(bank_of(), [0])
    none = replace(none, rows=(), keys=none.keys[:0], vectors={site: none.vectors[site][:0] for site in SITES})
    base = {site: torch.randn(2, width) for site, width in WIDTHS.items()}
    found = aggregate([none, bank_of()], [torch.zeros(0), torch.zeros(4)], population=base, now=NOW)
    assert found.samples[0] == 0
    assert found.terms(0) == []
    for site in SITES:
        assert torch.equal(found.vectors[site][0], base[site][0])
        assert not torch.equal(found.vectors[site][1], base[site][1])
    only = aggregate([none], [torch.zeros(0)], now=NOW)
    assert all(torch.equal(only.vectors[site], torch.zeros(1, WIDTHS[site])) for site in SITES)


@given(settings_, st.lists(st.integers(0, 5), min_size=2, max_size=5))
@settings(max_examples=30)
def test_a_batch_equals_one_at_a_time(setting: Aggregation, sizes: list[int]) -> None:
    banks = [bank_of(f"u{i}", max(size, 1), i) for i, size in enumerate(sizes)]
    empty = [replace(b, rows=(), keys=b.keys[:0], vectors={s: b.vectors[s][:0] for s in SITES}) for b in banks]
    banks = [bank if size else none for bank, none, size in zip(banks, empty, sizes, strict=True)]
    scores = [torch.linspace(-1, 1, len(bank)) for bank in banks]
    base = {site: torch.randn(len(banks), width) for site, width in WIDTHS.items()}
    together = aggregate(banks, scores, setting, population=base, now=NOW)
    for row, (bank, score) in enumerate(zip(banks, scores, strict=True)):
        own = {site: table[row : row + 1] for site, table in base.items()}
        alone = aggregate([bank], [score], setting, population=own, now=NOW)
        for site in SITES:
            assert torch.equal(together.vectors[site][row], alone.vectors[site][0])
        assert together.terms(row) == alone.terms(0)


def test_bad_input_is_refused() -> None:
    bank = bank_of()
    for scores in (torch.tensor([0, 1, float("nan"), 2]), torch.full((4,), float("inf"))):
        with pytest.raises(InputError, match="finite"):
            aggregate([bank], [scores])
    with pytest.raises(InputError, match="expected one each"):
        aggregate([bank], [torch.zeros(3)])
    with pytest.raises(InputError, match="expected one each"):
        aggregate([bank, bank], [torch.zeros(4)])
    with pytest.raises(InputError, match="at least one"):
        aggregate([], [])
    other = replace(bank, vectors={SITES[0]: torch.zeros(4, 12)})
    for unlike in (other, replace(bank, model="x")):
        with pytest.raises(InputError, match="different models or sites"):
            aggregate([bank, unlike], [torch.zeros(4)] * 2)
    with pytest.raises(InputError, match="one row for each of 1 users"):
        aggregate([bank], [torch.zeros(4)], population=population(2))
    with pytest.raises(InputError, match="one row for each"):
        aggregate([bank], [torch.zeros(4)], population={SITES[0]: torch.zeros(1, 12)})


@pytest.mark.parametrize(
    "wrong",
    [
        {"top": 0},
        {"temperature": 0.0},
        {"temperature": math.nan},
        {"half_life": 0.0},
        {"half_life": math.inf},
        {"shrinkage": -1.0},
        {"shrinkage": math.inf},
        {"pop_share": math.nan},
        {"own_share": math.inf},
    ],
)
def test_options_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        Aggregation(**wrong)
