from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.errors import InputError
from penchant.steering.fit.cross_validation import Population, population_of
from tests.steering.cases import SITES, bank_of, empty

USERS = ("ada", "bob", "eve", "mia")


def banks() -> dict:
    return {user: bank_of(user, rows=2 + number, seed=number) for number, user in enumerate(USERS)}


def equal(one: Population, other: Population) -> bool:
    tables = [(one.sums[site], other.sums[site]) for site in SITES] + [
        (one.keys, other.keys),
        (one.counts, other.counts),
    ]
    return one.users == other.users and all(torch.equal(a, b) for a, b in tables)


def test_the_mean_is_over_users_not_over_rows() -> None:
    given = banks()
    mean = population_of(given).mean()
    for site in SITES:
        wanted = torch.stack([bank.vectors[site].mean(0) for bank in given.values()]).mean(0)
        torch.testing.assert_close(mean[site], wanted)
        assert mean[site].dtype == torch.float32


@given(st.permutations(USERS), st.sampled_from(USERS))
@settings(max_examples=20)
def test_leaving_out_and_never_seeing_are_the_same_to_the_bit(order: list[str], user: str) -> None:
    given = {name: banks()[name] for name in order}
    whole = population_of(given)
    without = population_of({name: bank for name, bank in given.items() if name != user})
    left, centres = whole.without([user, "zoe", user]), whole.centres_without([user, "zoe"])
    assert torch.equal(centres[0], without.centres_without(["zoe"])[0])
    for site in SITES:
        assert torch.equal(left[site][0], without.mean()[site])
        assert torch.equal(left[site][2], left[site][0])
        assert torch.equal(left[site][1], whole.mean()[site])
        assert not torch.equal(left[site][0], left[site][1])


def test_a_users_own_vectors_leave_no_trace_however_large() -> None:
    given = banks()
    before = population_of(given).without(["eve"])
    loud = replace(given["eve"], vectors={site: table + 1e6 for site, table in given["eve"].vectors.items()})
    after = population_of({**given, "eve": loud}).without(["eve"])
    assert all(torch.equal(before[site], after[site]) for site in SITES)


def test_centres_are_means_of_keys() -> None:
    given = banks()
    wanted = torch.stack([given[user].keys.mean(0) for user in ("ada", "bob", "mia")]).mean(0)
    torch.testing.assert_close(population_of(given).centres_without(["eve"])[0], wanted)


def test_users_without_rows_and_no_others() -> None:
    given = banks()
    assert equal(population_of({**given, "zoe": empty(given["ada"])}), population_of(given))
    alone = population_of({"ada": given["ada"]})
    assert all(torch.equal(rows, torch.zeros_like(rows)) for rows in alone.without(["ada"]).values())
    nobody = population_of({"zoe": empty(given["ada"])})
    assert nobody.users == ()
    assert nobody.mean()[SITES[1]].shape == (20,)
    assert float(nobody.without(["ada", "bob"])[SITES[1]].abs().sum()) == 0


def test_numbers_too_large_to_be_exact_are_refused() -> None:
    bank = replace(bank_of(), vectors={SITES[0]: torch.full((4, 12), 2.0**30)})
    with pytest.raises(InputError, match="too large"):
        population_of({"a": bank, "b": replace(bank)}).mean()


def test_unlike_banks_have_no_population() -> None:
    with pytest.raises(InputError, match="different models"):
        population_of({"a": bank_of(), "b": replace(bank_of(), model="x")})
    with pytest.raises(InputError, match="at least one"):
        population_of({})
